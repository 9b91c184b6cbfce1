//! The two sides of a comparison and the blocks both answer from.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Process, free_address};
use crate::queries::{Query, Times};
use crate::{Settings, api};

/// The label that tells replicas apart; stripped from answers.
const REPLICA: &str = "replica";
/// The first millisecond of the data, 2026-01-01.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
const STORE_DEADLINE: Duration = Duration::from_secs(60);

/// One data set, twice: as Prometheus' folder and as a bucket.
pub(crate) struct Data {
    folder: PathBuf,
    pub(crate) size: String,
    pub(crate) hours: i64,
}

impl Data {
    /// Cuts the blocks with Prometheus' own writer; both copies come from the same seed and writer and
    /// differ in the `thanos` section of `meta.json` alone.
    pub(crate) fn cut(settings: &Settings, folder: &Path) -> Result<Self> {
        for (name, labels) in [("prometheus", None), ("bucket", Some("replica=a"))] {
            let mut cut = Command::new(&settings.gopeer);
            cut.arg("blocks").arg("--out").arg(folder.join(name));
            cut.args([
                "--dataset",
                "dash",
                "--size",
                &settings.size,
                "--seed",
                &settings.seed,
            ]);
            if let Some(labels) = labels {
                cut.args(["--thanos-labels", labels]);
            }
            let output = cut.output().context("run gopeer")?;
            if !output.status.success() {
                bail!("gopeer: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            size: settings.size.clone(),
            hours: 24,
        })
    }

    fn bucket(&self) -> String {
        let folder = self.folder.join("bucket");
        format!(
            "type: FILESYSTEM\nconfig:\n  directory: {}\n",
            folder.display()
        )
    }

    fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

/// One or two processes that answer queries at one address.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    processes: Vec<Process>,
    address: SocketAddr,
}

fn flag(name: &str, value: impl std::fmt::Display) -> OsString {
    format!("--{name}={value}").into()
}

impl Side {
    pub(crate) fn prometheus(settings: &Settings, data: &Data) -> Result<Self> {
        let http = free_address()?;
        let config = data.folder.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")?;
        let args = vec![
            flag("config.file", config.display()),
            flag(
                "storage.tsdb.path",
                data.folder.join("prometheus").display(),
            ),
            flag("web.listen-address", http),
            "--storage.tsdb.retention.time=100y".into(),
            // The blocks stay as they were cut, as they do in the bucket.
            "--storage.tsdb.min-block-duration=2h".into(),
            "--storage.tsdb.max-block-duration=2h".into(),
        ];
        let process = Process::start(&settings.prometheus, args, http)?;
        Ok(Self {
            name: "prometheus",
            processes: vec![process],
            address: http,
        })
    }

    pub(crate) fn store_and_query(binary: &Path, name: &'static str, data: &Data) -> Result<Self> {
        let (store_http, store_grpc) = (free_address()?, free_address()?);
        let store = Process::start(
            binary,
            vec![
                "store".into(),
                flag("objstore.config", data.bucket()),
                flag(
                    "data-dir",
                    data.scratch(&format!("{name}-store"))?.display(),
                ),
                flag("http-address", store_http),
                flag("grpc-address", store_grpc),
            ],
            store_http,
        )?;
        let (http, grpc) = (free_address()?, free_address()?);
        let query = Process::start(
            binary,
            vec![
                "query".into(),
                flag("endpoint", store_grpc),
                flag("query.replica-label", REPLICA),
                flag("http-address", http),
                flag("grpc-address", grpc),
            ],
            http,
        )?;
        let side = Self {
            name,
            processes: vec![store, query],
            address: http,
        };
        side.wait_for_store()?;
        Ok(side)
    }

    pub(crate) fn all_in_one(binary: &Path, data: &Data) -> Result<Self> {
        let (http, grpc) = (free_address()?, free_address()?);
        let process = Process::start(
            binary,
            vec![
                "all-in-one".into(),
                flag("objstore.config", data.bucket()),
                flag("data-dir", data.scratch("all-in-one")?.display()),
                flag("query.replica-label", REPLICA),
                flag("http-address", http),
                flag("grpc-address", grpc),
            ],
            http,
        )?;
        let side = Self {
            name: "all-in-one",
            processes: vec![process],
            address: http,
        };
        side.wait_for_store()?;
        Ok(side)
    }

    fn wait_for_store(&self) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < STORE_DEADLINE {
            let (_, body) = api::get(self.address, "/api/v1/stores")?;
            let stores: serde_json::Value = serde_json::from_slice(&body)?;
            if stores["data"]["store"][0]["name"].is_string() {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        bail!("{}: the querier does not find its store", self.name)
    }

    /// Asks once and returns the answer's body.
    pub(crate) fn ask(&self, query: &Query) -> Result<Vec<u8>> {
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
        let mut form = vec![("query", query.expr.clone())];
        let path = match query.times {
            Times::Instant { at } => {
                form.push(("time", seconds(at)));
                "/api/v1/query"
            }
            Times::Range { start, end, step } => {
                form.push(("start", seconds(start)));
                form.push(("end", seconds(end)));
                form.push(("step", seconds(step)));
                "/api/v1/query_range"
            }
        };
        api::post(self.address, path, &form)
            .with_context(|| format!("{}: {}", self.name, query.expr))
    }

    pub(crate) fn cpu(&self) -> Result<f64> {
        self.processes.iter().map(Process::cpu).sum()
    }

    pub(crate) fn reset_peak(&self) -> Result<()> {
        self.processes.iter().try_for_each(Process::reset_peak)
    }

    pub(crate) fn peak(&self) -> Result<f64> {
        self.processes.iter().map(Process::peak).sum()
    }
}
