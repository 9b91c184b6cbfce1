//! The conformance suite against a real S3 service on this machine.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use objstore::{Bucket, Listing};
use runtime::metrics::Metrics;

const BINARY: &str = "HINDSIGHT_VERSITYGW";
const DEADLINE: Duration = Duration::from_secs(30);
const ACCESS_KEY: &str = "access";
const SECRET_KEY: &str = "secret";

/// A running service; ended when dropped.
struct Service {
    process: Child,
    port: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after this.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Service {
    /// Starts the service over `root`, where each folder is a bucket, and waits until it listens.
    fn start(binary: &Path, root: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let process = Command::new(binary)
            .args(["--access", ACCESS_KEY, "--secret", SECRET_KEY])
            .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let service = Self { process, port };
        let begun = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            ensure!(
                begun.elapsed() < DEADLINE,
                "the service does not listen on port {port}"
            );
            std::thread::yield_now();
        }
        Ok(service)
    }
}

#[tokio::test]
async fn versitygw_conforms() -> Result<()> {
    let Some(binary) = std::env::var_os(BINARY) else {
        ensure!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{BINARY} must name the versitygw binary"
        );
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("SKIP: set {BINARY} to the versitygw binary to run this test");
        }
        return Ok(());
    };
    let root = tempfile::tempdir()?;
    std::fs::create_dir(root.path().join("blocks"))?;
    let service = Service::start(Path::new(&binary), root.path())?;
    for prefix in ["", "team/a"] {
        let yaml = format!(
            "type: S3\nconfig:\n  bucket: blocks\n  endpoint: 127.0.0.1:{}\n  insecure: true\n  \
             access_key: {ACCESS_KEY}\n  secret_key: {SECRET_KEY}\n  part_size: 5242880\nprefix: '{prefix}'\n",
            service.port
        );
        let config = objconfig::parse(&yaml, &|_| None)?;
        let bucket = objstore::connect(&config, &Metrics::empty())?;
        objstore::testsuite::run(&*bucket).await;
    }
    Ok(())
}

#[tokio::test]
async fn service_that_is_away_is_unavailable_and_not_empty() -> Result<()> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let yaml = format!(
        "type: S3\nconfig: {{bucket: b, endpoint: '127.0.0.1:{port}', insecure: true, access_key: a, \
         secret_key: s, max_retries: 1}}"
    );
    let config = objconfig::parse(&yaml, &|_| None)?;
    let bucket = objstore::connect(&config, &Metrics::empty())?;
    let error = bucket.exists("x").await.expect_err("nobody listens");
    ensure!(error.is_retryable(), "{error:?}");
    let mut entries = bucket.iter("", Listing::Folder);
    let first = futures::StreamExt::next(&mut entries).await;
    ensure!(matches!(first, Some(Err(_))), "{first:?}");
    Ok(())
}
