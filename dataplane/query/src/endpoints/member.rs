//! One endpoint: how it is reached and what is known of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::{Labels, TimeRange};
use runtime::grpc::{ChannelConfig, ChannelError, channel};
use runtime::tls::{ClientTls, TlsError};
use storeapi::{Apis, RemoteApis, RemoteConfig, RemoteStore, SeriesStore, StoreError, StoreInfo};

use super::backoff::Backoff;
use super::config::ClientSpec;

/// Why an endpoint cannot be dialled at all.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What the last Info call showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Milliseconds since the Unix epoch; `None` before the first call has ended.
    pub last_check_ms: Option<i64>,
    /// When it last answered.
    pub last_answer_ms: Option<i64>,
    pub last_error: Option<String>,
}

/// One endpoint of the set.
pub struct Member {
    address: Arc<str>,
    strict: bool,
    client: ClientSpec,
    store: Arc<dyn SeriesStore>,
    /// Absent for a store of this process.
    remote: Option<Arc<RemoteStore>>,
    added_ms: i64,
    health: Mutex<Health>,
    backoff: Mutex<Backoff>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("address", &self.address)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Member {
    /// Returns an endpoint that is dialled on first use.
    ///
    /// # Errors
    /// An address that cannot be dialled, or TLS files that cannot be used.
    pub fn remote(
        address: &str,
        strict: bool,
        client: &ClientSpec,
        config: RemoteConfig,
        now_ms: i64,
    ) -> Result<Self, DialError> {
        let tls = client
            .tls
            .clone()
            .map(|tls| ClientTls::load(tls, &["h2"]))
            .transpose()?;
        let channel = channel(address, tls.as_ref(), &ChannelConfig::default())?;
        let remote = Arc::new(RemoteStore::new(address, channel, config));
        if strict {
            // Asked even before it has said anything: it may hold anything.
            remote.set_info(Arc::new(StoreInfo {
                range: Some(TimeRange::ALL),
                apis: Apis {
                    store: true,
                    ..Apis::default()
                },
                ..StoreInfo::default()
            }));
        }
        Ok(Self {
            address: address.into(),
            strict,
            client: client.clone(),
            store: Arc::clone(&remote) as Arc<dyn SeriesStore>,
            remote: Some(remote),
            added_ms: now_ms,
            health: Mutex::default(),
            backoff: Mutex::default(),
        })
    }

    /// Returns an endpoint that is part of this process.
    pub fn local(name: &str, store: Arc<dyn SeriesStore>) -> Self {
        Self {
            address: name.into(),
            strict: true,
            client: ClientSpec::default(),
            store,
            remote: None,
            added_ms: 0,
            health: Mutex::default(),
            backoff: Mutex::default(),
        }
    }

    pub fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Returns the Store service.
    pub fn store(&self) -> &Arc<dyn SeriesStore> {
        &self.store
    }

    /// Returns a client of the other services; a store of this process has none.
    pub fn apis(&self) -> Option<RemoteApis> {
        self.remote.as_ref().map(|remote| remote.apis())
    }

    /// Returns what the endpoint last said about itself.
    pub fn info(&self) -> Arc<StoreInfo> {
        self.store.info()
    }

    pub fn health(&self) -> Health {
        self.health
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns whether queries may go there.
    pub fn is_queryable(&self) -> bool {
        let health = self.health();
        self.remote.is_none()
            || self.strict
            || (health.last_error.is_none() && health.last_answer_ms.is_some())
    }

    /// Returns whether its Store service may be asked now.
    pub fn has_open_store(&self) -> bool {
        // A store of this process is given as one; it need not say so.
        self.remote.is_none() || (self.is_queryable() && self.info().apis.store)
    }

    /// Returns whether it has been silent for `timeout` and need not be listed any more.
    pub fn is_forgotten(&self, now_ms: i64, timeout: Duration) -> bool {
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        let health = self.health();
        let last_sign = health.last_answer_ms.unwrap_or(self.added_ms);
        !self.strict && health.last_error.is_some() && now_ms.saturating_sub(last_sign) > timeout_ms
    }

    /// Returns whether this is the endpoint that a configuration asks for.
    pub(super) fn is(&self, address: &str, strict: bool, client: &ClientSpec) -> bool {
        *self.address == *address && self.strict == strict && self.client == *client
    }

    /// Asks for Info and notes what came of it; one that fails again and again is asked less often
    /// than every `interval`.
    pub(super) async fn check(&self, now_ms: i64, interval: Duration) {
        let Some(remote) = &self.remote else {
            self.note(now_ms, None);
            return;
        };
        let backoff = || self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        if !backoff().is_due(Instant::now()) {
            return;
        }
        match remote.refresh_info().await {
            Ok(_) => {
                backoff().succeeded();
                self.note(now_ms, None);
            }
            Err(error) => {
                backoff().failed(interval, Instant::now());
                self.note(now_ms, Some(&error));
            }
        }
    }

    fn note(&self, now_ms: i64, error: Option<&StoreError>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.last_check_ms = Some(now_ms);
        if error.is_none() {
            health.last_answer_ms = Some(now_ms);
        }
        let text = error.map(ToString::to_string);
        let was_down = health.last_error.is_some();
        match (&text, was_down) {
            (Some(error), false) => {
                tracing::warn!(endpoint = %self.address, %error, "endpoint does not answer");
            }
            (None, true) => tracing::info!(endpoint = %self.address, "endpoint answers again"),
            _ => {}
        }
        health.last_error = text;
    }

    /// Returns the external labels of all the data behind it.
    pub fn label_sets(&self) -> Vec<Labels> {
        self.info().label_sets.clone()
    }
}
