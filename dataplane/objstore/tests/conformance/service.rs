//! Object stores on loopback, each with a folder of its own, ended when dropped.

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

const DEADLINE: Duration = Duration::from_secs(60);
const ACCESS_KEY: &str = "access";
const SECRET_KEY: &str = "secret";
/// What every emulator of Azure has.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running service; ended when dropped.
pub(crate) struct Service {
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
    /// An S3 service over `root`, where each folder is a bucket.
    pub(crate) fn versitygw(root: &Path) -> Result<Option<Self>> {
        Self::start("HINDSIGHT_VERSITYGW", |command, port| {
            command
                .args(["--access", ACCESS_KEY, "--secret", SECRET_KEY])
                .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
                .arg(root);
        })
    }

    /// Google Cloud Storage over `root`, where each folder is a bucket.
    pub(crate) fn fake_gcs_server(root: &Path) -> Result<Option<Self>> {
        Self::start("HINDSIGHT_FAKE_GCS_SERVER", |command, port| {
            let address = format!("127.0.0.1:{port}");
            command
                .args([
                    "-scheme",
                    "http",
                    "-host",
                    "127.0.0.1",
                    "-port",
                    &port.to_string(),
                ])
                .args(["-backend", "memory", "-public-host", &address])
                .args(["-external-url", &format!("http://{address}"), "-data"])
                .arg(root);
        })
    }

    /// Azure Blob Storage over `root`.
    pub(crate) fn azurite(root: &Path) -> Result<Option<Self>> {
        Self::start("HINDSIGHT_AZURITE", |command, port| {
            command
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
                .args(["--silent", "--disableTelemetry", "--location"])
                .arg(root);
        })
    }

    /// Starts the binary that `variable` names and waits until it listens; `None` where it names none.
    fn start(variable: &str, arguments: impl Fn(&mut Command, u16)) -> Result<Option<Self>> {
        let Some(binary) = binary(variable)? else {
            return Ok(None);
        };
        let port = free_port()?;
        let mut command = Command::new(&binary);
        arguments(&mut command, port);
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut service = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = service.process.try_wait()?;
            ensure!(ended.is_none(), "{} ended: {ended:?}", binary.display());
            ensure!(
                begun.elapsed() < DEADLINE,
                "the service does not listen on port {port}"
            );
            std::thread::yield_now();
        }
        Ok(Some(service))
    }

    pub(crate) fn s3_yaml(&self, bucket: &str) -> String {
        format!(
            "type: S3\nconfig:\n  bucket: {bucket}\n  endpoint: 127.0.0.1:{}\n  insecure: true\n  \
             access_key: {ACCESS_KEY}\n  secret_key: {SECRET_KEY}\n  part_size: 5242880",
            self.port
        )
    }

    pub(crate) fn gcs_yaml(&self, bucket: &str) -> String {
        format!(
            "type: GCS\nconfig:\n  bucket: {bucket}\n  chunk_size_bytes: 4194304\n  service_account: '{}'",
            gcs_key_file(self.port)
        )
    }

    pub(crate) fn azure_yaml(&self, container: &str) -> String {
        let endpoint = self.azure_endpoint();
        format!(
            "type: AZURE\nconfig:\n  container: {container}\n  storage_connection_string: \
             'AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};BlobEndpoint={endpoint}'"
        )
    }

    /// Reads and lists in a container, by a signature of the container.
    pub(crate) fn azure_signature_yaml(&self, container: &str) -> Result<String> {
        const VERSION: &str = "2020-12-06";
        let (permissions, expiry) = ("rl", "2099-01-01T00:00:00Z");
        let resource = format!("/blob/{AZURE_ACCOUNT}/{container}");
        // permissions, start, expiry, resource, identifier, address, protocol, version, resource type,
        // snapshot, encryption scope, then five response headers.
        let text =
            format!("{permissions}\n\n{expiry}\n{resource}\n\n\n\n{VERSION}\nc\n\n\n\n\n\n\n");
        let key = BASE64_STANDARD.decode(AZURE_KEY)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let signature: String =
            form_urlencoded::byte_serialize(BASE64_STANDARD.encode(tag).as_bytes()).collect();
        let endpoint = self.azure_endpoint();
        Ok(format!(
            "type: AZURE\nconfig:\n  container: {container}\n  storage_connection_string: \
             'AccountName={AZURE_ACCOUNT};BlobEndpoint={endpoint};SharedAccessSignature=\
             sv={VERSION}&sr=c&sp={permissions}&se={expiry}&sig={signature}'"
        ))
    }

    fn azure_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{AZURE_ACCOUNT}", self.port)
    }
}

/// A key file of a stand-in for Google's servers, which asks for no credentials.
pub(crate) fn gcs_key_file(port: u16) -> String {
    format!(
        "{{\"gcs_base_url\":\"http://127.0.0.1:{port}\",\"disable_oauth\":true,\"client_email\":\"\",\
         \"private_key\":\"\",\"private_key_id\":\"\"}}"
    )
}

/// Returns a port that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn binary(variable: &str) -> Result<Option<std::path::PathBuf>> {
    let named: Option<OsString> = std::env::var_os(variable);
    if named.is_none() {
        ensure!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{variable} must name the binary"
        );
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("SKIP: set {variable} to the binary to run this test");
        }
    }
    Ok(named.map(Into::into))
}
