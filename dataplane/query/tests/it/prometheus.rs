//! Bodies compared byte by byte with those of a real Prometheus, where no stored data is needed.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Api, DEADLINE};

/// A Prometheus without targets; ends when dropped.
struct Prometheus {
    child: Child,
    address: String,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts the binary in the folder that the environment names; without one there is no opponent.
    async fn start() -> Option<Self> {
        const VARIABLE: &str = "HINDSIGHT_PROMETHEUS";
        let Some(folder) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{VARIABLE} has to name the folder of a Prometheus; tests/run.sh sets it"
            );
            let mut out = std::io::stdout().lock();
            // Nobody reads it where the output is closed.
            let _ = writeln!(out, "SKIP: comparing bodies: {VARIABLE} is not set");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        std::fs::write(&config, "global: {}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let child = Command::new(folder.join("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            child,
            address,
            client: reqwest::Client::builder()
                .timeout(DEADLINE)
                .build()
                .unwrap(),
            _dir: dir,
        };
        let ready = async {
            let url = format!("http://{}/-/ready", started.address);
            while !matches!(started.client.get(&url).send().await, Ok(r) if r.status().is_success())
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, ready).await.unwrap();
        Some(started)
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> (u16, String) {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let response = self.client.get(url).query(params).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// Queries whose trees, printed forms and errors are compared.
const QUERIES: [&str; 40] = [
    "1",
    "-1.5e-9",
    "NaN",
    "-Inf",
    "1e300",
    "\"a<b>&'\\\"\\u2028é\\n\"",
    "up",
    "up{job=\"a\",x!=\"b\",y=~\"c.*\",z!~\"d|e\"}",
    "{\"utf8.name\",\"quoted.label\"=\"v\"}",
    "up[5m]",
    "up[5m] offset 1h",
    "up @ 1609746000.5",
    "up @ start() offset -3m",
    "up[5m] @ end()",
    "rate(up[5m])[1h:]",
    "rate(up[5m])[1h:1m] @ start() offset 5m",
    "sum(up)",
    "sum by (job, \"x.y\") (up)",
    "topk without (a) (3, up)",
    "count_values(\"v\", up)",
    "quantile(0.9, up)",
    "a + b",
    "a / on (x) group_left (y) b",
    "a == bool ignoring (x) b",
    "a and on () b",
    "a * 2",
    "-(a)",
    "+a",
    "a ^ b ^ c",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))",
    "label_join(a, \"b\", \",\", \"c\", \"d\")",
    "round(a, 5)",
    "days_in_month()",
    "time()",
    "rate(up[5m * 2])",
    "up offset (1h + 30m)",
    "up[step()]",
    "up[max_of(5m, 2 * step())]",
    "up offset -(step() + 1m)",
    "sum(rate(a_rather_long_metric_name_total{job=\"something\",instance=~\"a-long-.*\"}[5m])) by (job, instance) / 2",
];

const BROKEN: [&str; 8] = [
    "", "up{", "sum(", "rate(up)", "up[5m:1m", "a <b> c", "{}", "foo(1)",
];

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_data_are_prometheus_byte_by_byte() {
    let Some(prometheus) = Prometheus::start().await else {
        return;
    };
    let api = Api::over(&[]).await;
    let mut different = Vec::new();
    let at = [("time", "1700000000.5")];
    let range = [
        ("start", "1700000000"),
        ("end", "1700000060.25"),
        ("step", "15"),
    ];
    for query in QUERIES.iter().chain(&BROKEN) {
        let text = ("query", *query);
        for (path, more) in [
            ("parse_query", [].as_slice()),
            ("format_query", &[]),
            ("query", &at),
            ("query_range", &range),
        ] {
            // A querier without stores says so, and Prometheus does not.
            let is_evaluated = path.starts_with("query");
            let params = [&[text], more].concat();
            let expected = prometheus.get(path, &params).await;
            let response = api.send(&format!("/api/v1/{path}"), &params).await;
            let status = response.status().as_u16();
            let mut body = response.text().await.unwrap();
            if is_evaluated {
                let warning = ",\"warnings\":[\"no store is known; the answer is empty\"]";
                body = body.replace(warning, "");
            }
            if (status, &body) != (expected.0, &expected.1) {
                different.push(format!(
                    "{path} {query}\nexpected {} {}\ngot      {status} {body}",
                    expected.0, expected.1
                ));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_refused_as_prometheus_refuses_them() {
    let Some(prometheus) = Prometheus::start().await else {
        return;
    };
    let api = Api::over(&[]).await;
    let mut different = Vec::new();
    for (path, params) in [
        ("query", [("query", "1"), ("time", "yesterday")].as_slice()),
        ("query", &[("query", "1"), ("timeout", "long")]),
        ("query", &[("query", "1"), ("limit", "-1")]),
        ("query", &[("query", "1"), ("limit", "x")]),
        ("query_range", &[("query", "1")]),
        (
            "query_range",
            &[("query", "1"), ("start", "2"), ("end", "1"), ("step", "1")],
        ),
        (
            "query_range",
            &[("query", "1"), ("start", "0"), ("end", "1"), ("step", "0")],
        ),
        (
            "query_range",
            &[("query", "1"), ("start", "0"), ("end", "1"), ("step", "x")],
        ),
        (
            "query_range",
            &[
                ("query", "1"),
                ("start", "0"),
                ("end", "11001"),
                ("step", "1"),
            ],
        ),
        (
            "query_range",
            &[
                ("query", "up[5m]"),
                ("start", "0"),
                ("end", "1"),
                ("step", "1"),
            ],
        ),
        ("series", &[]),
        ("series", &[("match[]", "{}")]),
        ("series", &[("match[]", "up{")]),
        ("labels", &[("match[]", "{x=~\".*\"}")]),
        ("labels", &[("limit", "x")]),
        ("query_exemplars", &[("query", "up{")]),
        ("rules", &[("type", "other")]),
    ] {
        let expected = prometheus.get(path, params).await;
        let response = api.send(&format!("/api/v1/{path}"), params).await;
        let found = (response.status().as_u16(), response.text().await.unwrap());
        if found != expected {
            different.push(format!(
                "{path} {params:?}\nexpected {expected:?}\ngot      {found:?}"
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn features_of_the_language_are_prometheus_ones() {
    let Some(prometheus) = Prometheus::start().await else {
        return;
    };
    let api = Api::over(&[]).await;
    let (_, expected) = prometheus.get("features", &[]).await;
    let expected: Value = serde_json::from_str(&expected).unwrap();
    let found = api.data("features", &[]).await;
    for category in ["promql", "promql_functions", "promql_operators"] {
        assert_eq!(found[category], expected["data"][category], "{category}");
    }
}
