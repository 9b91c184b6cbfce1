//! Labels, values and series.

use serde_json::json;

use crate::harness::{Api, NOW_MS, counters, seconds, serve_store};

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_series_are_those_of_all_stores() {
    let one = counters(&[("cluster", "eu"), ("replica", "0")], &["a", "b"], 0);
    let two = counters(&[("cluster", "us"), ("replica", "1")], &["b", "c"], 0);
    let (_one, first) = serve_store(one).await;
    let (_two, second) = serve_store(two).await;
    let api = Api::over(&[first, second]).await;

    // The replica label is not there for those who see replicas as one.
    let names = json!(["__name__", "cluster", "job", "pod"]);
    assert_eq!(api.data("labels", &[]).await, names);
    let all = json!(["__name__", "cluster", "job", "pod", "replica"]);
    assert_eq!(api.data("labels", &[("dedup", "0")]).await, all);
    assert_eq!(
        api.data("label/pod/values", &[]).await,
        json!(["a", "b", "c"])
    );
    let values = api
        .data("label/pod/values", &[("match[]", "m{cluster=\"us\"}")])
        .await;
    assert_eq!(values, json!(["b", "c"]));
    let both = [("match[]", "m{pod=\"a\"}"), ("match[]", "m{pod=\"c\"}")];
    assert_eq!(
        api.data("label/cluster/values", &both).await,
        json!(["eu", "us"])
    );
    assert_eq!(
        api.data("label/U__pod/values", &[]).await,
        json!(["a", "b", "c"])
    );
    assert_eq!(api.data("label/absent/values", &[]).await, json!([]));

    let (_, body) = api.get("label/pod/values", &[("limit", "2")]).await;
    assert_eq!(body["data"], json!(["a", "b"]));
    assert_eq!(body["warnings"], json!(["results truncated due to limit"]));

    let series = api.data("series", &both).await;
    let labels =
        |cluster, pod| json!({"__name__": "m", "cluster": cluster, "job": "api", "pod": pod});
    assert_eq!(series, json!([labels("eu", "a"), labels("us", "c")]));
    let series = api
        .data("series", &[("match[]", "m{pod=\"b\"}"), ("dedup", "false")])
        .await;
    assert_eq!(series[0]["replica"], "0");

    let before = seconds(NOW_MS - 7_200_000);
    let series = api
        .data(
            "series",
            &[("match[]", "m"), ("start", "0"), ("end", &before)],
        )
        .await;
    assert_eq!(series, json!([]));
    let posted = api
        .client
        .post(api.url("/api/v1/series"))
        .form(&[("match[]", "m{pod=\"a\"}")]);
    let posted: serde_json::Value = posted.send().await.unwrap().json().await.unwrap();
    assert_eq!(posted["data"], json!([labels("eu", "a")]));
}
