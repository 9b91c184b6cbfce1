//! A value built from files and built again when they change.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::TlsError;

/// How often the files are looked at, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

type Build<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

pub(super) struct Reloading<T> {
    files: Vec<PathBuf>,
    build: Build<T>,
    current: ArcSwap<T>,
    seen: Mutex<Seen>,
    check_interval: Duration,
    failures: AtomicU64,
}

struct Seen {
    checked_at: Instant,
    fingerprint: u64,
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl<T> Reloading<T> {
    pub(super) fn new(files: Vec<PathBuf>, build: Build<T>) -> Result<Self, TlsError> {
        // The fingerprint comes first: files that change meanwhile are noticed at the next check.
        let fingerprint = fingerprint(&files);
        let current = ArcSwap::from_pointee(build()?);
        let seen = Mutex::new(Seen {
            checked_at: Instant::now(),
            fingerprint,
        });
        let failures = AtomicU64::new(0);
        Ok(Self {
            files,
            build,
            current,
            seen,
            check_interval: CHECK_INTERVAL,
            failures,
        })
    }

    #[cfg(test)]
    pub(super) fn check_always(mut self) -> Self {
        self.check_interval = Duration::ZERO;
        self
    }

    /// Returns the value for the files as they are, or the last good one.
    pub(super) fn get(&self) -> Arc<T> {
        // Whoever holds the lock is looking already; the others need not wait for it.
        if !self.files.is_empty()
            && let Ok(mut seen) = self.seen.try_lock()
            && seen.checked_at.elapsed() >= self.check_interval
        {
            seen.checked_at = Instant::now();
            let now = fingerprint(&self.files);
            if now != seen.fingerprint {
                seen.fingerprint = now;
                match (self.build)() {
                    Ok(value) => {
                        self.current.store(Arc::new(value));
                        tracing::info!(files = ?self.files, "reloaded tls files");
                    }
                    Err(error) => {
                        self.failures.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "changed tls files cannot be used, keeping the old ones"
                        );
                    }
                }
            }
        }
        self.current.load_full()
    }

    /// Returns how often changed files could not be used.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        match std::fs::read(file) {
            Ok(bytes) => bytes.hash(&mut hasher),
            Err(error) => error.kind().hash(&mut hasher),
        }
    }
    hasher.finish()
}
