//! `/api/v1/targets` as the Targets service.

use model::Labels;
use serde::Deserialize;
use storeapi::proto::thanos as pb;
use storeapi::{Answer, StoreError, TargetsApi, async_trait};

use super::{JsonLabels, PrometheusApis, label_set, timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonTargets {
    #[serde(default)]
    active_targets: Option<Vec<JsonActive>>,
    #[serde(default)]
    dropped_targets: Option<Vec<JsonDropped>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonActive {
    discovered_labels: JsonLabels,
    labels: JsonLabels,
    scrape_pool: String,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    last_scrape_duration: f64,
    health: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonDropped {
    discovered_labels: JsonLabels,
}

#[async_trait]
impl TargetsApi for PrometheusApis {
    async fn targets(
        &self,
        request: pb::TargetsRequest,
    ) -> Result<Answer<pb::TargetDiscovery>, StoreError> {
        use pb::targets_request::State;
        let state = match State::try_from(request.state) {
            Ok(State::Any) => "any",
            Ok(State::Active) => "active",
            Ok(State::Dropped) => "dropped",
            Err(_) => {
                return Err(StoreError::invalid(format!(
                    "unknown target state {}",
                    request.state
                )));
            }
        };
        let query = [("state", state.to_owned())];
        let found: JsonTargets = self.prometheus.get("/api/v1/targets", &query).await?;
        let external = self.external_labels();
        let active = found.active_targets.unwrap_or_default();
        let dropped = found.dropped_targets.unwrap_or_default();
        Ok(Answer::new(pb::TargetDiscovery {
            active_targets: active
                .into_iter()
                .map(|t| active_target(t, &external))
                .collect(),
            dropped_targets: dropped
                .into_iter()
                .map(|t| pb::DroppedTarget {
                    discovered_labels: label_set(t.discovered_labels, &external),
                })
                .collect(),
        }))
    }
}

fn active_target(target: JsonActive, external: &Labels) -> pb::ActiveTarget {
    let health = match target.health.as_str() {
        "up" => pb::TargetHealth::Up,
        "down" => pb::TargetHealth::Down,
        _ => pb::TargetHealth::Unknown,
    };
    pb::ActiveTarget {
        discovered_labels: label_set(target.discovered_labels, external),
        labels: label_set(target.labels, external),
        scrape_pool: target.scrape_pool,
        scrape_url: target.scrape_url,
        global_url: target.global_url,
        last_error: target.last_error,
        last_scrape: timestamp(&target.last_scrape),
        last_scrape_duration: target.last_scrape_duration,
        health: health.into(),
    }
}
