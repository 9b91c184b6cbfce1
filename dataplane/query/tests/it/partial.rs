//! Stores that fail, fall silent or do not exist.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::TimeRange;
use query::endpoints::{ClientSpec, EndpointSpec};
use reqwest::StatusCode;
use storeapi::{
    Apis, Component, ErrorKind, LabelsAnswer, LabelsRequest, SeriesRequest, SeriesStore,
    SeriesStream, StoreError, StoreInfo, async_trait,
};

use crate::harness::{Api, Process, config, counters, serve_store};

/// What a store does once it has sent the series of the one behind it.
#[derive(Clone, Copy)]
enum End {
    Fails,
    StaysSilent,
}

struct Misbehaving<S> {
    inner: S,
    end: End,
}

#[async_trait]
impl<S: SeriesStore> SeriesStore for Misbehaving<S> {
    fn info(&self) -> Arc<StoreInfo> {
        self.inner.info()
    }

    async fn series(&self, request: Arc<SeriesRequest>) -> Result<SeriesStream, StoreError> {
        let sent = self.inner.series(request).await?;
        let end = self.end;
        let after = futures::stream::once(async move {
            match end {
                End::Fails => Err(StoreError::new(ErrorKind::Unavailable, "the disk is gone")),
                End::StaysSilent => std::future::pending().await,
            }
        });
        Ok(Box::pin(sent.chain(after)))
    }

    async fn label_names(&self, _: Arc<LabelsRequest>) -> Result<LabelsAnswer, StoreError> {
        Err(StoreError::new(ErrorKind::Unavailable, "the disk is gone"))
    }

    async fn label_values(
        &self,
        _: &str,
        request: Arc<LabelsRequest>,
    ) -> Result<LabelsAnswer, StoreError> {
        self.label_names(request).await
    }
}

/// Serves a store that says it has everything and never sends anything.
pub(crate) async fn serve_silent() -> (Process, SocketAddr) {
    let inner = counters(&[("cluster", "silent")], &[], 0).with_info(|info| {
        *info = StoreInfo {
            component: Component::Store,
            range: Some(TimeRange::ALL),
            apis: Apis {
                store: true,
                ..Apis::default()
            },
            ..StoreInfo::default()
        };
    });
    serve_store(Misbehaving {
        inner,
        end: End::StaysSilent,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_store_that_died_half_way_says_so() {
    let (_sound, sound) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let dying = Misbehaving {
        inner: counters(&[("cluster", "us")], &["b"], 0),
        end: End::Fails,
    };
    let (_dying, dying) = serve_store(dying).await;
    let api = Api::over(&[sound, dying]).await;

    let response = api.send("/api/v1/query", &[("query", "m")]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-partial-response"], "true");
    let body: serde_json::Value = response.json().await.unwrap();
    let warning = body["warnings"][0].as_str().unwrap();
    assert!(warning.contains("the disk is gone"), "{warning}");
    assert!(warning.contains(&dying.to_string()), "{warning}");
    let clusters: Vec<_> = body["data"]["result"].as_array().unwrap().iter().collect();
    assert!(
        clusters
            .iter()
            .any(|sample| sample["metric"]["cluster"] == "eu"),
        "{body}"
    );

    let (status, body) = api
        .get("query", &[("query", "m"), ("partial_response", "0")])
        .await;
    assert_eq!(
        (status.as_u16(), &body["errorType"]),
        (422, &"execution".into()),
        "{body}"
    );
    assert!(
        body["error"].as_str().unwrap().contains("the disk is gone"),
        "{body}"
    );

    let complete = [("query", "m{cluster=\"eu\"}")];
    let response = api.send("/api/v1/query", &complete).await;
    assert_eq!(response.headers().get("x-partial-response"), None);

    let response = api.send("/api/v1/labels", &[]).await;
    assert_eq!(response.headers()["x-partial-response"], "true");
    let (status, _) = api.get("labels", &[("partial_response", "false")]).await;
    assert_eq!(status.as_u16(), 422);
    let metrics = api.send("/metrics", &[]).await.text().await.unwrap();
    assert!(
        metrics.contains("\nhindsight_query_partial_answers_total 1\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_left_out_after_the_response_timeout() {
    let (_sound, sound) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    let (_silent, silent) = serve_silent().await;
    let mut config = config();
    config.endpoints.response_timeout = Duration::from_millis(200);
    let api = Api::start(config, &[sound, silent]).await;
    let (status, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["data"]["result"].as_array().unwrap().len(), 1);
    assert!(
        body["warnings"][0]
            .as_str()
            .unwrap()
            .contains(&silent.to_string()),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_endpoint_that_is_down_is_asked_and_missed() {
    let (_sound, sound) = serve_store(counters(&[("cluster", "eu")], &["a"], 0)).await;
    // A port that was free a moment ago.
    let down = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut config = config();
    let spec = |strict| EndpointSpec::parse(&down.to_string(), strict, ClientSpec::default());
    config.endpoints.sources.fixed = vec![spec(false).unwrap()];
    let api = Api::start(config.clone(), &[sound]).await;
    let (_, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(body.get("warnings"), None, "{body}");
    config.endpoints.sources.fixed = vec![spec(true).unwrap()];
    let api = Api::start(config, &[sound]).await;
    let (status, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body["warnings"][0]
            .as_str()
            .unwrap()
            .contains(&down.to_string()),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_stores_the_answer_is_empty_and_says_why() {
    let api = Api::over(&[]).await;
    let (status, body) = api.get("query", &[("query", "m")]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"]["result"], serde_json::json!([]));
    assert!(
        body["warnings"][0].as_str().unwrap().contains("no store"),
        "{body}"
    );
    let (status, _) = api
        .get("query", &[("query", "m"), ("partial_response", "0")])
        .await;
    assert_eq!(status.as_u16(), 422);
    assert_eq!(api.instant("1 + 1", &[]).await[1], "2");
}
