//! Rules, Targets, Metadata and Exemplars: Prometheus' own JSON answers as the wire's messages, with
//! the external labels that its HTTP API leaves out.

mod exemplars;
mod metadata;
mod rules;
mod targets;

use std::collections::BTreeMap;

use model::Labels;
use prost_types::Timestamp;
use storeapi::proto::thanos as pb;
use tokio::sync::watch;

use crate::prometheus::Prometheus;
use crate::store::Identity;

/// The four services over one Prometheus.
#[derive(Debug, Clone)]
pub struct PrometheusApis {
    prometheus: Prometheus,
    identity: watch::Receiver<Identity>,
}

impl PrometheusApis {
    #[must_use]
    pub fn new(prometheus: Prometheus, identity: watch::Receiver<Identity>) -> Self {
        Self {
            prometheus,
            identity,
        }
    }

    fn external_labels(&self) -> Labels {
        self.identity.borrow().external_labels.clone()
    }
}

/// Labels as Prometheus' JSON has them.
type JsonLabels = BTreeMap<String, String>;

/// Returns a label set of the wire, with `external` laid over it.
fn label_set(labels: JsonLabels, external: &Labels) -> Option<pb::LabelSet> {
    let labels = Labels::from_pairs(labels).overlaid_with(external);
    let labels = labels.iter().map(|label| pb::Label {
        name: label.name.to_owned(),
        value: label.value.to_owned(),
    });
    Some(pb::LabelSet {
        labels: labels.collect(),
    })
}

/// Parses RFC 3339; Go's zero time and anything else that is no time gives nothing.
fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_are_laid_over_and_times_are_read() {
        let labels = JsonLabels::from([("a".to_owned(), "1".to_owned())]);
        let set = label_set(labels, &Labels::from_pairs([("cluster", "eu")])).unwrap();
        assert_eq!(set.labels.len(), 2);
        let time = timestamp("2026-01-02T03:04:05.5Z").unwrap();
        assert_eq!((time.seconds, time.nanos), (1_767_323_045, 500_000_000));
        assert_eq!(timestamp("never"), None);
    }
}
