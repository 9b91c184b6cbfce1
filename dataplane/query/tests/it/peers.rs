//! Rules, targets, metadata and exemplars of the endpoints' Prometheuses.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use storeapi::proto::thanos as pb;
use storeapi::proto::thanos::rule::Result as Kind;
use storeapi::{
    Answer, Component, ErrorKind, ExemplarsApi, MetadataApi, RulesApi, Services, StoreError,
    StoreInfo, TargetsApi, async_trait,
};

use crate::harness::{Api, Process, serve};

/// A Prometheus of which one rule, target, metric and exemplar are known.
struct Prometheus {
    replica: &'static str,
    state: pb::AlertState,
    broken: bool,
}

fn labels(pairs: &[(&str, &str)]) -> Option<pb::LabelSet> {
    let label = |(name, value): &(&str, &str)| pb::Label {
        name: (*name).into(),
        value: (*value).into(),
    };
    Some(pb::LabelSet {
        labels: pairs.iter().map(label).collect(),
    })
}

impl Prometheus {
    fn sound<T>(&self, value: T) -> Result<Answer<T>, StoreError> {
        if self.broken {
            return Err(StoreError::new(
                ErrorKind::Unavailable,
                "prometheus is away",
            ));
        }
        Ok(Answer {
            value,
            warnings: Vec::new(),
        })
    }
}

#[async_trait]
impl RulesApi for Prometheus {
    async fn rules(&self, _: pb::RulesRequest) -> Result<Answer<Vec<pb::RuleGroup>>, StoreError> {
        let alert = pb::Alert {
            state: self.state.into(),
            name: "Down".into(),
            query: "up == 0".into(),
            duration_seconds: 60.0,
            labels: labels(&[("replica", self.replica), ("severity", "page")]),
            alerts: vec![pb::AlertInstance {
                labels: labels(&[("job", "api"), ("replica", self.replica)]),
                state: self.state.into(),
                value: "1e+00".into(),
                ..pb::AlertInstance::default()
            }],
            health: "ok".into(),
            ..pb::Alert::default()
        };
        self.sound(vec![pb::RuleGroup {
            name: "g".into(),
            file: "rules.yaml".into(),
            rules: vec![pb::Rule {
                result: Some(Kind::Alert(alert)),
            }],
            interval: 30.0,
            ..pb::RuleGroup::default()
        }])
    }
}

#[async_trait]
impl TargetsApi for Prometheus {
    async fn targets(
        &self,
        _: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError> {
        self.sound(pb::TargetDiscovery {
            active_targets: vec![pb::ActiveTarget {
                labels: labels(&[("job", "api"), ("replica", self.replica)]),
                scrape_pool: "api".into(),
                health: pb::TargetHealth::Up.into(),
                ..pb::ActiveTarget::default()
            }],
            dropped_targets: Vec::new(),
        })
    }
}

#[async_trait]
impl MetadataApi for Prometheus {
    async fn metric_metadata(
        &self,
        _: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError> {
        let meta = pb::Meta {
            r#type: "gauge".into(),
            help: "Is up.".into(),
            unit: String::new(),
        };
        self.sound(pb::MetricMetadata {
            metadata: [(
                "up".to_owned(),
                pb::MetricMetadataEntry { metas: vec![meta] },
            )]
            .into(),
        })
    }
}

#[async_trait]
impl ExemplarsApi for Prometheus {
    async fn exemplars(
        &self,
        _: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError> {
        self.sound(vec![pb::ExemplarData {
            series_labels: labels(&[("__name__", "m"), ("replica", self.replica)]),
            exemplars: vec![pb::Exemplar {
                labels: labels(&[("trace_id", "abc")]),
                value: 0.5,
                ts: 1_500,
            }],
        }])
    }
}

async fn serve_prometheus(
    replica: &'static str,
    state: pb::AlertState,
    broken: bool,
) -> (Process, SocketAddr) {
    let prometheus = Arc::new(Prometheus {
        replica,
        state,
        broken,
    });
    serve(Services {
        rules: Some(Arc::clone(&prometheus) as _),
        targets: Some(Arc::clone(&prometheus) as _),
        metadata: Some(Arc::clone(&prometheus) as _),
        exemplars: Some(prometheus),
        info: StoreInfo {
            component: Component::Sidecar,
            ..StoreInfo::default()
        },
        ..Services::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_replicas_say_is_said_once() {
    let (_one, first) = serve_prometheus("0", pb::AlertState::Pending, false).await;
    let (_two, second) = serve_prometheus("1", pb::AlertState::Firing, false).await;
    let api = Api::over(&[first, second]).await;

    let alert = json!({
        "labels": {"job": "api"}, "annotations": {}, "state": "firing", "value": "1e+00"
    });
    let expected = json!({"groups": [{
        "name": "g", "file": "rules.yaml", "interval": 30, "limit": 0, "evaluationTime": 0,
        "lastEvaluation": "0001-01-01T00:00:00Z",
        "rules": [{
            "type": "alerting", "state": "firing", "name": "Down", "query": "up == 0",
            "duration": 60, "keepFiringFor": 0, "labels": {"severity": "page"},
            "annotations": {}, "alerts": [alert], "health": "ok", "evaluationTime": 0,
            "lastEvaluation": "0001-01-01T00:00:00Z",
        }],
    }]});
    assert_eq!(api.data("rules", &[]).await, expected);
    assert_eq!(api.data("alerts", &[]).await, json!({"alerts": [alert]}));
    let targets = api.data("targets", &[]).await;
    assert_eq!(targets["activeTargets"].as_array().unwrap().len(), 1);
    assert_eq!(targets["activeTargets"][0]["labels"], json!({"job": "api"}));
    let targets = api.data("targets", &[("dedup", "0")]).await;
    assert_eq!(targets["activeTargets"].as_array().unwrap().len(), 2);
    let metadata = api.data("metadata", &[]).await;
    assert_eq!(
        metadata,
        json!({"up": [{"type": "gauge", "help": "Is up.", "unit": ""}]})
    );
    let exemplars = api.data("query_exemplars", &[("query", "m")]).await;
    assert_eq!(
        exemplars,
        json!([{"seriesLabels": {"__name__": "m"}, "exemplars": [
            {"labels": {"trace_id": "abc"}, "value": "0.5", "timestamp": 1.5}
        ]}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_fails_is_a_warning_or_the_answer() {
    let (_one, first) = serve_prometheus("0", pb::AlertState::Firing, false).await;
    let (_two, second) = serve_prometheus("1", pb::AlertState::Firing, true).await;
    let api = Api::over(&[first, second]).await;
    for path in ["rules", "targets", "metadata"] {
        let (status, body) = api.get(path, &[]).await;
        assert_eq!(status.as_u16(), 200, "{path}");
        let warning = body["warnings"][0].as_str().unwrap();
        assert!(warning.contains("prometheus is away"), "{warning}");
        assert!(warning.contains(&second.to_string()), "{warning}");
        let (status, body) = api.get(path, &[("partial_response", "false")]).await;
        assert_eq!(status.as_u16(), 422, "{path}: {body}");
    }
}
