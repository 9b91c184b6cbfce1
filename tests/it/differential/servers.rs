//! The processes that are compared: a real Prometheus, and a store with a querier.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use super::Opponent;
use super::answer::{Answer, Query, Seconds, Times};
use super::blocks::{self, Layout, REPLICA};

/// What of PromQL is experimental and switched on at both sides.
const FEATURES: &str = "promql-experimental-functions,promql-duration-expr,\
                        promql-extended-range-selectors,promql-binop-fill-modifiers";
/// How long a server may take until it is ready.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);
/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Starts a command, waits until its input ends, then ends the command and removes its folder. So
/// nothing survives a test that ends in whatever way.
const GUARD: &str = r#"
dir=$1; shift
"$@" </dev/null >"$dir/log" 2>&1 &
pid=$!
cat >/dev/null
kill "$pid" 2>/dev/null
wait "$pid"
rm -rf "$dir"
"#;

/// A running server with a folder of its own.
struct Process {
    /// Ends the server when it is dropped or this process ends.
    _stdin: ChildStdin,
    _guard: Child,
    log: PathBuf,
}

impl Process {
    fn start(binary: &Path, args: &[OsString], dir: &Path) -> Result<Self> {
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(dir)
            .arg(binary)
            .args(args)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let stdin = guard.stdin.take().context("a guard without input")?;
        Ok(Self {
            _stdin: stdin,
            _guard: guard,
            log: dir.join("log"),
        })
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `condition` gives something of the server's log.
    fn wait<T>(&self, what: &str, condition: impl Fn(&str) -> Option<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some(found) = condition(&log) {
                return Ok(found);
            }
            if started.elapsed() > READY_DEADLINE {
                bail!("{what}: not after {READY_DEADLINE:?}; log:\n{log}");
            }
            std::thread::park_timeout(POLL_INTERVAL);
        }
    }
}

/// A client of a server with Prometheus' HTTP API.
struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Runtime,
    address: String,
}

impl Api {
    fn new(address: String) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self {
            client,
            runtime,
            address,
        })
    }

    /// Posts a form and returns status and body.
    fn post(&self, path: &str, form: &[(&str, String)]) -> Result<(u16, Bytes)> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = http::Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(body))?;
        self.send(request)
    }

    fn get(&self, path: &str) -> Result<(u16, Bytes)> {
        let uri = format!("http://{}{path}", self.address);
        self.send(http::Request::get(uri).body(Full::default())?)
    }

    fn send(&self, request: http::Request<Full<Bytes>>) -> Result<(u16, Bytes)> {
        self.runtime.block_on(async {
            let answered = async {
                let response = self.client.request(request).await?;
                let status = response.status().as_u16();
                Ok((status, response.into_body().collect().await?.to_bytes()))
            };
            let deadline = tokio::time::timeout(ANSWER_DEADLINE, answered);
            deadline
                .await
                .with_context(|| format!("no answer in {ANSWER_DEADLINE:?}"))?
        })
    }

    fn query(&self, query: &Query) -> Result<Answer> {
        let mut form = vec![("query", query.expr.clone())];
        let path = match query.times {
            Times::Instant { at } => {
                form.push(("time", Seconds(at).to_string()));
                "/api/v1/query"
            }
            Times::Range { start, end, step } => {
                for (name, ms) in [("start", start), ("end", end), ("step", step)] {
                    form.push((name, Seconds(ms).to_string()));
                }
                "/api/v1/query_range"
            }
        };
        let (status, body) = self.post(path, &form)?;
        let json: Json = serde_json::from_slice(&body)
            .with_context(|| format!("status {status}: {}", String::from_utf8_lossy(&body)))?;
        Answer::from_json(&json)
    }

    /// Whether a querier lists a store.
    fn has_a_store(&self) -> bool {
        let stores = self.get("/api/v1/stores").ok();
        let json = stores.and_then(|(_, body)| serde_json::from_slice::<Json>(&body).ok());
        json.is_some_and(|json| json["data"]["store"][0]["name"].is_string())
    }

    /// Whether the server answers 200 on its readiness path.
    fn is_ready(&self) -> bool {
        matches!(self.get("/-/ready"), Ok((200, _)))
    }
}

/// A real Prometheus over its copy of the blocks.
pub(crate) struct Prometheus {
    api: Api,
    process: Process,
}

impl Prometheus {
    /// Starts the server of `folder`, where its binaries are.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?.keep();
        let data = dir.join("data");
        blocks::write(&data, Layout::Prometheus)?;
        let config = dir.join("prometheus.yml");
        fs::write(&config, "global: {}\n")?;
        let args = [
            flag("--config.file", &config),
            flag("--storage.tsdb.path", &data),
            "--storage.tsdb.retention.time=100y".into(),
            // Our blocks stay as they are.
            "--storage.tsdb.min-block-duration=2h".into(),
            "--storage.tsdb.max-block-duration=2h".into(),
            "--web.listen-address=127.0.0.1:0".into(),
            format!("--enable-feature={FEATURES}").into(),
        ];
        let process = Process::start(&folder.join("prometheus"), &args, &dir)?;
        let address = process.wait("prometheus listens", |log| address(log, "Listening on"))?;
        let api = Api::new(address)?;
        process.wait("prometheus is ready", |_| api.is_ready().then_some(()))?;
        Ok(Self { api, process })
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

impl Opponent for Prometheus {
    fn ask(&self, query: &Query) -> Result<Answer> {
        self.api.query(query)
    }
}

/// Our querier over our store over a bucket with its copy of the blocks.
pub(crate) struct Hindsight {
    api: Api,
    store: Process,
    query: Process,
}

impl Hindsight {
    /// Starts the two processes of `binary`.
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?.keep();
        let bucket = dir.join("bucket");
        blocks::write(&bucket, Layout::Bucket)?;
        let objstore = format!(
            "type: FILESYSTEM\nconfig:\n  directory: {}\n",
            bucket.display()
        );
        let config = dir.join("objstore.yaml");
        fs::write(&config, objstore)?;
        let common = [
            "--http-address=127.0.0.1:0".into(),
            "--grpc-address=127.0.0.1:0".into(),
            "--log.format=logfmt".into(),
        ];
        let mut args: Vec<OsString> = vec!["store".into()];
        args.extend(common.clone());
        args.push(flag("--objstore.config-file", &config));
        args.push(flag("--data-dir", &dir.join("data")));
        let store = Process::start(binary, &args, &dir)?;
        let grpc = store.wait("store listens", |log| address(log, "listening for grpc"))?;
        let http = store.wait("store listens", |log| address(log, "listening for http"))?;
        let store_api = Api::new(http)?;
        store.wait("store is ready", |_| store_api.is_ready().then_some(()))?;

        let dir = tempfile::tempdir()?.keep();
        let mut args: Vec<OsString> = vec!["query".into()];
        args.extend(common);
        args.push(format!("--endpoint={grpc}").into());
        args.push(format!("--query.replica-label={}", REPLICA.0).into());
        // A store that fails must not look like one that has nothing.
        args.push("--query.partial-response=false".into());
        args.push(format!("--enable-feature={FEATURES}").into());
        let query = Process::start(binary, &args, &dir)?;
        let http = query.wait("query listens", |log| address(log, "listening for http"))?;
        let api = Api::new(http)?;
        query.wait("query is ready", |_| api.is_ready().then_some(()))?;
        query.wait("query knows the store", |_| api.has_a_store().then_some(()))?;
        Ok(Self { api, store, query })
    }

    pub(crate) fn log(&self) -> String {
        format!("store:\n{}\nquery:\n{}", self.store.log(), self.query.log())
    }
}

impl Opponent for Hindsight {
    fn ask(&self, query: &Query) -> Result<Answer> {
        self.api.query(query)
    }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(path);
    flag
}

/// Finds the address in a line such as `msg="Listening on" address=127.0.0.1:9090`.
fn address(log: &str, message: &str) -> Option<String> {
    // The last line may not be whole yet.
    let whole = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let line = whole.into_iter().find(|line| line.contains(message))?;
    let address = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("address="))?;
    Some(address.trim_matches('"').to_owned())
}
