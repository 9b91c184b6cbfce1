//! `/api/v1/query_exemplars` as the Exemplars service.

use serde::Deserialize;
use storeapi::proto::thanos as pb;
use storeapi::{Answer, ExemplarsApi, StoreError, async_trait};

use super::{JsonLabels, PrometheusApis, label_set};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonSeries {
    series_labels: JsonLabels,
    exemplars: Vec<JsonExemplar>,
}

#[derive(Deserialize)]
struct JsonExemplar {
    labels: JsonLabels,
    value: String,
    /// Seconds.
    timestamp: f64,
}

#[async_trait]
impl ExemplarsApi for PrometheusApis {
    async fn exemplars(
        &self,
        request: pb::ExemplarsRequest,
    ) -> Result<Answer<Vec<pb::ExemplarData>>, StoreError> {
        let query = [
            ("query", request.query),
            ("start", format!("{}", request.start as f64 / 1_000.0)),
            ("end", format!("{}", request.end as f64 / 1_000.0)),
        ];
        let found: Vec<JsonSeries> = self
            .prometheus
            .get("/api/v1/query_exemplars", &query)
            .await?;
        let external = self.external_labels();
        let series = found.into_iter().map(|series| {
            let exemplars = series.exemplars.into_iter().map(|exemplar| pb::Exemplar {
                labels: label_set(exemplar.labels, &model::Labels::empty()),
                value: exemplar.value.parse().unwrap_or(f64::NAN),
                ts: (exemplar.timestamp * 1_000.0).round() as i64,
            });
            pb::ExemplarData {
                series_labels: label_set(series.series_labels, &external),
                exemplars: exemplars.collect(),
            }
        });
        Ok(Answer::new(series.collect()))
    }
}
