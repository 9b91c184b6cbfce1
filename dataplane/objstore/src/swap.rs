//! A bucket whose client can be replaced while it is used: credentials and certificates change.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use objconfig::BucketConfig;
use prometheus_client::metrics::gauge::Gauge;
use runtime::metrics::Metrics;
use runtime::watch::FileWatch;

use crate::backend::ObjectStoreBucket;
use crate::bucket::{Attributes, Bucket, Content, EntryStream, Listing};
use crate::conditional::{Condition, Version};
use crate::connect::{ConnectError, backend};
use crate::error::BucketError;

/// How often files are looked at where the kernel does not tell of changes.
const INTERVAL: Duration = Duration::from_secs(30);

/// A bucket that passes on to the client of this moment. What has begun ends with the client it began with.
#[derive(Debug, Clone)]
pub(crate) struct Swapping {
    name: String,
    current: Arc<RwLock<Arc<ObjectStoreBucket>>>,
}

impl Swapping {
    pub(crate) fn new(backend: ObjectStoreBucket) -> Self {
        Self {
            name: backend.name().to_owned(),
            current: Arc::new(RwLock::new(Arc::new(backend))),
        }
    }

    fn current(&self) -> Arc<ObjectStoreBucket> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn replace(&self, backend: ObjectStoreBucket) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(backend);
    }
}

#[async_trait]
impl Bucket for Swapping {
    fn name(&self) -> &str {
        &self.name
    }

    fn iter(&self, folder: &str, listing: Listing) -> EntryStream {
        self.current().iter(folder, listing)
    }

    async fn get(&self, name: &str) -> Result<Bytes, BucketError> {
        self.current().get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.current().get_range(name, range).await
    }

    async fn exists(&self, name: &str) -> Result<bool, BucketError> {
        self.current().exists(name).await
    }

    async fn attributes(&self, name: &str) -> Result<Attributes, BucketError> {
        self.current().attributes(name).await
    }

    async fn upload(&self, name: &str, content: Content) -> Result<(), BucketError> {
        self.current().upload(name, content).await
    }

    async fn get_versioned(&self, name: &str) -> Result<(Bytes, Version), BucketError> {
        self.current().get_versioned(name).await
    }

    async fn put_if(
        &self,
        name: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Version, BucketError> {
        self.current().put_if(name, content, condition).await
    }

    async fn delete(&self, name: &str) -> Result<(), BucketError> {
        self.current().delete(name).await
    }
}

/// Why a changed configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be read or understood.
    #[error("the object store configuration cannot be used")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client cannot be made of it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// What is known of one bucket would be believed of another.
    #[error("the object store configuration names another bucket or prefix; restart to use it")]
    OtherBucket,
}

/// Reads the configuration anew.
pub type Load =
    Box<dyn Fn() -> Result<BucketConfig, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Follows the files that a bucket's configuration comes from and names.
pub struct Reload {
    swapping: Swapping,
    config: BucketConfig,
    file: Option<PathBuf>,
    load: Load,
    successful: Gauge,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Reload {
    pub(crate) fn new(
        swapping: Swapping,
        config: BucketConfig,
        file: Option<PathBuf>,
        load: Load,
        metrics: &Metrics,
    ) -> Self {
        let successful = Gauge::default();
        successful.set(1);
        metrics.register(|registry| {
            registry.register(
                "hindsight_objstore_config_last_reload_successful",
                "Whether the object store configuration as it is now on disk is the one used",
                successful.clone(),
            );
        });
        Self {
            swapping,
            config,
            file,
            load,
            successful,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.file
            .iter()
            .cloned()
            .chain(self.config.files())
            .collect()
    }

    /// Replaces the client at every change, for ever. A configuration that cannot be used changes nothing
    /// but a log line and a metric.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the client of that moment in place.
    pub async fn run(mut self) -> Infallible {
        loop {
            let files = self.files();
            if files.is_empty() {
                std::future::pending::<()>().await;
            }
            let mut watch = FileWatch::new(files.clone(), INTERVAL);
            // The set of files to watch may change with the configuration.
            while self.files() == files {
                watch.changed().await;
                match self.reload() {
                    Ok(()) => {
                        self.successful.set(1);
                        tracing::info!("object store configuration reloaded");
                    }
                    Err(error) => {
                        self.successful.set(0);
                        let error = runtime::telemetry::chain(&error);
                        tracing::error!(error, "object store configuration not reloaded");
                    }
                }
            }
        }
    }

    /// Reads the configuration and replaces the client.
    ///
    /// # Errors
    /// A configuration that cannot be used; the client stays.
    pub fn reload(&mut self) -> Result<(), ReloadError> {
        let config = (self.load)().map_err(ReloadError::Config)?;
        if config.name() != self.config.name() || config.prefix != self.config.prefix {
            return Err(ReloadError::OtherBucket);
        }
        self.swapping.replace(backend(&config)?);
        self.config = config;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::connect::connect_reloading;

    /// Writes a configuration whose client can be told from others only by what it is allowed to.
    fn write(file: &Path, key: &str, port: u16) {
        let yaml = format!(
            "type: S3\nconfig: {{bucket: b, endpoint: '127.0.0.1:{port}', insecure: true, access_key: {key}, \
             secret_key: s, max_retries: 1}}\n"
        );
        std::fs::write(file, yaml).expect("writes");
    }

    fn load(file: &Path) -> Load {
        let file = file.to_owned();
        Box::new(move || {
            let text = std::fs::read_to_string(&file)?;
            Ok(objconfig::parse(&text, &|_| None)?)
        })
    }

    /// Answers every request with 404 and returns the access key of the first one that differs from `not`.
    async fn key_asked_with(listener: tokio::net::TcpListener, not: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut head = vec![0; 8192];
            let read = stream.read(&mut head).await.expect("read");
            let answer =
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.expect("write");
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let key = head
                .split_once("Credential=")
                .and_then(|(_, rest)| rest.split('/').next())
                .expect("signed")
                .to_owned();
            if key != not {
                return key;
            }
        }
    }

    #[tokio::test]
    async fn new_credentials_are_used_without_a_restart() {
        runtime::tls::install_provider();
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("objstore.yaml");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let port = listener.local_addr().expect("address").port();
        write(&file, "old", port);
        let metrics = Metrics::empty();
        let (bucket, reload) =
            connect_reloading(Some(file.clone()), load(&file), &metrics).expect("connects");
        let watching = tokio::spawn(reload.run());
        let asked = tokio::spawn(key_asked_with(listener, "old"));
        assert!(!bucket.exists("a").await.expect("answers"));
        write(&file, "new", port);
        let deadline = Duration::from_secs(60);
        let asking = async {
            while !asked.is_finished() {
                assert!(!bucket.exists("a").await.expect("answers"));
            }
        };
        tokio::time::timeout(deadline, asking)
            .await
            .expect("asked with the new key");
        assert_eq!(asked.await.expect("served"), "new");
        watching.abort();
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("objstore.yaml");
        write(&file, "a", 1);
        let metrics = Metrics::empty();
        let (_, mut reload) =
            connect_reloading(Some(file.clone()), load(&file), &metrics).expect("connects");
        reload.reload().expect("equal");
        let before = reload.config.clone();
        std::fs::write(&file, "type: S3").expect("writes");
        assert!(matches!(reload.reload(), Err(ReloadError::Config(_))));
        std::fs::write(&file, "type: S3\nconfig: {bucket: c, endpoint: e}").expect("writes");
        assert!(matches!(reload.reload(), Err(ReloadError::OtherBucket)));
        std::fs::write(
            &file,
            "type: S3\nconfig: {bucket: b, endpoint: e}\nprefix: x",
        )
        .expect("writes");
        assert!(matches!(reload.reload(), Err(ReloadError::OtherBucket)));
        assert_eq!(reload.config, before);
    }
}
