//! Requests that cannot be answered.

use crate::harness::{Api, DEADLINE, config};

/// Path, parameters, and the error's text.
type Case = (
    &'static str,
    Vec<(&'static str, &'static str)>,
    &'static str,
);

async fn check(
    api: &Api,
    path: &str,
    params: &[(&str, &str)],
    status: u16,
    kind: &str,
    text: &str,
) {
    let (got, body) = api.get(path, params).await;
    assert_eq!(got.as_u16(), status, "{path} {params:?}: {body}");
    assert_eq!(body["status"], "error", "{path} {params:?}: {body}");
    assert_eq!(body["errorType"], kind, "{path} {params:?}: {body}");
    assert_eq!(body["error"], text, "{path} {params:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_refused_with_prometheus_texts() {
    let api = Api::over(&[]).await;
    let bad = "bad_data";
    let start_end = [("query", "m"), ("start", "0"), ("end", "100")];
    let with = |more: &[(&'static str, &'static str)]| [start_end.as_slice(), more].concat();
    let cases: &[Case] = &[
        (
            "query",
            vec![("query", "sum(")],
            "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis",
        ),
        (
            "query",
            vec![],
            "invalid parameter \"query\": unknown position: parse error: no expression found in input",
        ),
        (
            "query",
            vec![("query", "1"), ("time", "soon")],
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"soon\" to a \
             valid timestamp",
        ),
        (
            "query",
            vec![("query", "1"), ("timeout", "x")],
            "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration",
        ),
        (
            "query",
            vec![("query", "1"), ("limit", "-1")],
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        (
            "query",
            vec![("query", "1"), ("lookback_delta", "x")],
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        (
            "query",
            vec![("query", "1"), ("dedup", "perhaps")],
            "'dedup' parameter: strconv.ParseBool: parsing \"perhaps\": invalid syntax",
        ),
        (
            "query",
            vec![("query", "1"), ("max_source_resolution", "-1")],
            "negative 'max_source_resolution' is not accepted. Try a positive integer",
        ),
        (
            "query",
            vec![("query", "1"), ("engine", "other")],
            "'other' bad engine",
        ),
        (
            "query_range",
            vec![("query", "1"), ("end", "1"), ("step", "1")],
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
        ),
        (
            "query_range",
            vec![("query", "1"), ("start", "2"), ("end", "1"), ("step", "1")],
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "query_range",
            with(&[("step", "0")]),
            "invalid parameter \"step\": zero or negative query resolution step widths are not \
             accepted. Try a positive integer",
        ),
        (
            "query_range",
            with(&[("step", "0.001")]),
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
             resolution (?step=XX)",
        ),
        ("series", vec![], "no match[] parameter provided"),
        (
            "series",
            vec![("match[]", "{a=~\".*\"}")],
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        (
            "labels",
            vec![("start", "2"), ("end", "1")],
            "end timestamp must not be before start timestamp",
        ),
        (
            "query_exemplars",
            vec![("query", "m"), ("start", "2"), ("end", "1")],
            "end timestamp must not be before start timestamp",
        ),
        ("metadata", vec![("limit", "x")], "limit must be a number"),
    ];
    for (path, params, text) in cases {
        check(&api, path, params, 400, bad, text).await;
    }
    check(
        &api,
        "nothing",
        &[],
        404,
        "not_found",
        "no such API: /nothing",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_evaluated_is_an_execution_error() {
    let api = Api::over(&[]).await;
    let query = "label_replace(vector(1), \"a\", \"b\", \"c\", \"(\")";
    let (status, body) = api.get("query", &[("query", query)]).await;
    assert_eq!(
        (status.as_u16(), &body["errorType"]),
        (422, &"execution".into()),
        "{body}"
    );
    let (status, body) = api
        .get(
            "query_range",
            &[
                ("query", "'x'"),
                ("start", "0"),
                ("end", "1"),
                ("step", "1"),
            ],
        )
        .await;
    assert_eq!(
        (status.as_u16(), &body["errorType"]),
        (400, &"bad_data".into()),
        "{body}"
    );
}

/// Waits until so many queries are evaluated.
async fn in_flight(api: &Api, count: &str) {
    let line = format!("thanos_query_concurrent_gate_queries_in_flight {count}");
    let waiting = async {
        loop {
            let metrics = api.send("/metrics", &[]).await.text().await.unwrap();
            if metrics.lines().any(|found| found == line) {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_out_of_time_says_whether_it_waited_or_worked() {
    let (_store, silent) = crate::partial::serve_silent().await;
    let mut config = config();
    config.engine.max_concurrent = 1;
    let api = Api::start(config, &[silent]).await;
    let params = [("query", "m"), ("timeout", "200ms")];
    let timeout = "query timed out in expression evaluation";
    check(&api, "query", &params, 503, "timeout", timeout).await;

    let (client, url) = (api.client.clone(), api.url("/api/v1/query?query=m"));
    let working = tokio::spawn(async move { client.get(url).send().await.map(|_| ()) });
    in_flight(&api, "1").await;
    let timeout = "query timed out in query queue";
    check(&api, "query", &params, 503, "timeout", timeout).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_caller_leaves_is_given_up() {
    let (_store, silent) = crate::partial::serve_silent().await;
    let api = Api::over(&[silent]).await;
    let (client, url) = (api.client.clone(), api.url("/api/v1/query?query=m"));
    let asking = tokio::spawn(async move { client.get(url).send().await.map(|_| ()) });
    in_flight(&api, "1").await;
    asking.abort();
    in_flight(&api, "0").await;
}
