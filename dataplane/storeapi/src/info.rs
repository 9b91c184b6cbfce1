//! What a store says about itself, from and to the Info service's message.

use model::{Labels, TimeRange};

use crate::proto::thanos::info as pb;
use crate::proto::thanos::{Label, ZLabelSet};
use crate::store::{Apis, Component, StoreInfo, TsdbInfo};

/// What a store without data reports, so that no request overlaps it.
const NO_DATA: TimeRange = TimeRange {
    start: i64::MAX,
    end: i64::MIN,
};

impl StoreInfo {
    /// Returns the message for peers.
    #[must_use]
    pub fn to_proto(&self) -> pb::InfoResponse {
        let range = self.range.unwrap_or(NO_DATA);
        pb::InfoResponse {
            label_sets: self.label_sets.iter().map(to_label_set).collect(),
            component_type: self.component.as_str().to_owned(),
            store: self.apis.store.then(|| pb::StoreInfo {
                min_time: range.start,
                max_time: range.end,
                supports_sharding: self.supports_sharding,
                supports_without_replica_labels: self.supports_without_replica_labels,
                tsdb_infos: self
                    .tsdb_infos
                    .iter()
                    .map(|tsdb| pb::TsdbInfo {
                        labels: Some(to_label_set(&tsdb.labels)),
                        min_time: tsdb.range.start,
                        max_time: tsdb.range.end,
                    })
                    .collect(),
                supports_projections: false,
            }),
            rules: self.apis.rules.then_some(pb::RulesInfo {}),
            metric_metadata: self.apis.metadata.then_some(pb::MetricMetadataInfo {}),
            targets: self.apis.targets.then_some(pb::TargetsInfo {}),
            exemplars: self.apis.exemplars.map(|range| pb::ExemplarsInfo {
                min_time: range.start,
                max_time: range.end,
            }),
            query: self.apis.query.then_some(pb::QueryApiInfo {}),
            status: self.apis.status.then_some(pb::StatusInfo {}),
        }
    }

    /// Returns what a peer's message says.
    #[must_use]
    pub fn from_proto(response: pb::InfoResponse) -> Self {
        let apis = Apis {
            store: response.store.is_some(),
            rules: response.rules.is_some(),
            metadata: response.metric_metadata.is_some(),
            targets: response.targets.is_some(),
            exemplars: response
                .exemplars
                .map(|e| TimeRange::new(e.min_time, e.max_time)),
            query: response.query.is_some(),
            status: response.status.is_some(),
        };
        let store = response.store.unwrap_or_else(|| pb::StoreInfo {
            min_time: NO_DATA.start,
            max_time: NO_DATA.end,
            ..pb::StoreInfo::default()
        });
        let range = TimeRange::new(store.min_time, store.max_time);
        Self {
            component: Component::from_name(&response.component_type),
            label_sets: response
                .label_sets
                .into_iter()
                .map(from_label_set)
                .collect(),
            range: (!range.is_empty()).then_some(range),
            supports_sharding: store.supports_sharding,
            supports_without_replica_labels: store.supports_without_replica_labels,
            tsdb_infos: store
                .tsdb_infos
                .into_iter()
                .map(|tsdb| TsdbInfo {
                    labels: tsdb.labels.map_or_else(Labels::empty, from_label_set),
                    range: TimeRange::new(tsdb.min_time, tsdb.max_time),
                })
                .collect(),
            apis,
        }
    }
}

/// Returns the wire's form of a label set.
#[must_use]
pub fn to_wire_labels(labels: &Labels) -> Vec<Label> {
    labels
        .iter()
        .map(|label| Label {
            name: label.name.to_owned(),
            value: label.value.to_owned(),
        })
        .collect()
}

/// Returns the label set of the wire's form.
#[must_use]
pub fn from_wire_labels(labels: &[Label]) -> Labels {
    Labels::from_pairs(labels.iter().map(|label| (&label.name, &label.value)))
}

fn to_label_set(labels: &Labels) -> ZLabelSet {
    ZLabelSet {
        labels: to_wire_labels(labels),
    }
}

fn from_label_set(set: ZLabelSet) -> Labels {
    from_wire_labels(&set.labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_survives_a_trip_over_the_wire() {
        let labels = Labels::from_pairs([("cluster", "eu"), ("replica", "0")]);
        let info = StoreInfo {
            component: Component::Sidecar,
            label_sets: vec![labels.clone()],
            range: Some(TimeRange::new(5, i64::MAX)),
            supports_sharding: true,
            supports_without_replica_labels: true,
            tsdb_infos: vec![TsdbInfo {
                labels,
                range: TimeRange::new(5, 9),
            }],
            apis: Apis {
                store: true,
                rules: true,
                exemplars: Some(TimeRange::new(1, 2)),
                ..Apis::default()
            },
        };
        assert_eq!(StoreInfo::from_proto(info.to_proto()), info);
        let empty = StoreInfo {
            range: None,
            tsdb_infos: vec![],
            ..info
        };
        assert_eq!(StoreInfo::from_proto(empty.to_proto()), empty);
    }

    #[test]
    fn a_component_of_another_version_is_unknown() {
        let response = pb::InfoResponse {
            component_type: "novel".into(),
            ..Default::default()
        };
        assert_eq!(
            StoreInfo::from_proto(response).component,
            Component::Unknown
        );
    }
}
