//! `/api/v1/metadata` as the Metadata service.

use std::collections::BTreeMap;

use serde::Deserialize;
use storeapi::proto::thanos as pb;
use storeapi::{Answer, MetadataApi, StoreError, async_trait};

use super::PrometheusApis;

#[derive(Deserialize)]
struct JsonMeta {
    r#type: String,
    help: String,
    unit: String,
}

#[async_trait]
impl MetadataApi for PrometheusApis {
    async fn metric_metadata(
        &self,
        request: pb::MetricMetadataRequest,
    ) -> Result<Answer<pb::MetricMetadata>, StoreError> {
        let mut query = Vec::new();
        if request.limit >= 0 {
            query.push(("limit", request.limit.to_string()));
        }
        if !request.metric.is_empty() {
            query.push(("metric", request.metric));
        }
        let found: BTreeMap<String, Vec<JsonMeta>> =
            self.prometheus.get("/api/v1/metadata", &query).await?;
        let metadata = found.into_iter().map(|(metric, metas)| {
            let metas = metas.into_iter().map(|meta| pb::Meta {
                r#type: meta.r#type,
                help: meta.help,
                unit: meta.unit,
            });
            (
                metric,
                pb::MetricMetadataEntry {
                    metas: metas.collect(),
                },
            )
        });
        Ok(Answer::new(pb::MetricMetadata {
            metadata: metadata.collect(),
        }))
    }
}
