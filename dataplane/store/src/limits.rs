//! What a request, and all of them together, may use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use storeapi::StoreError;

/// Samples a chunk is counted as, since it is never decoded here.
pub const SAMPLES_PER_CHUNK: u64 = 120;

/// What one Series call may use; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SeriesLimits {
    /// Series touched.
    pub series: u64,
    /// Samples fetched, at [`SAMPLES_PER_CHUNK`] a chunk.
    pub samples: u64,
    /// Bytes fetched from the bucket.
    pub bytes: u64,
}

/// What one request has used so far. The first limit it exceeds ends the request, whatever the rest says.
#[derive(Debug, Default)]
pub struct Budget {
    limits: SeriesLimits,
    series: AtomicU64,
    chunks: AtomicU64,
    bytes: AtomicU64,
    exceeded: OnceLock<StoreError>,
}

impl Budget {
    /// Creates the budget of one request.
    pub fn new(limits: SeriesLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Counts series before they are read.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub fn add_series(&self, count: u64) -> Result<(), StoreError> {
        let used = self
            .series
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        self.check("series", used, self.limits.series)
    }

    /// Counts chunks before they are fetched.
    ///
    /// # Errors
    /// The limit of samples is exceeded.
    pub fn add_chunks(&self, count: u64) -> Result<(), StoreError> {
        let used = self
            .chunks
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        self.check(
            "samples",
            used.saturating_mul(SAMPLES_PER_CHUNK),
            self.limits.samples,
        )
    }

    /// Counts bytes before they are fetched.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub fn add_bytes(&self, count: u64) -> Result<(), StoreError> {
        let used = self
            .bytes
            .fetch_add(count, Ordering::Relaxed)
            .saturating_add(count);
        self.check("bytes", used, self.limits.bytes)
    }

    fn check(&self, what: &'static str, used: u64, limit: u64) -> Result<(), StoreError> {
        if limit == 0 || used <= limit {
            return Ok(());
        }
        Err(self.exceed(StoreError::Limit { what, used, limit }))
    }

    /// Ends the request with `error`, unless something ended it before.
    pub fn exceed(&self, error: StoreError) -> StoreError {
        self.exceeded.get_or_init(|| error).clone()
    }

    /// Returns the limit that was exceeded, if one was.
    pub fn exceeded(&self) -> Option<StoreError> {
        self.exceeded.get().cloned()
    }
}

/// Bytes that all requests together may hold while they are being fetched.
#[derive(Debug)]
pub struct Pool {
    capacity: u64,
    used: AtomicU64,
}

impl Pool {
    /// Creates a pool of so many bytes; 0 is no limit.
    pub fn new(capacity: u64) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            used: AtomicU64::new(0),
        })
    }

    /// Reserves bytes. A request that finds the pool empty fails: waiting for others that wait too would
    /// never end.
    ///
    /// # Errors
    /// The pool has not so many left.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reserved, StoreError> {
        let used = self
            .used
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        let reserved = Reserved {
            pool: Arc::clone(self),
            bytes,
        };
        if self.capacity != 0 && used > self.capacity {
            let limit = self.capacity;
            return Err(StoreError::Limit {
                what: "chunk pool bytes",
                used,
                limit,
            });
        }
        Ok(reserved)
    }
}

/// Bytes of a pool, given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    pool: Arc<Pool>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_exceeded_limit_is_what_the_request_fails_with() {
        let budget = Budget::new(SeriesLimits {
            series: 10,
            samples: 240,
            bytes: 0,
        });
        budget.add_series(10).expect("within");
        budget.add_chunks(2).expect("within");
        budget.add_bytes(u64::MAX).expect("no limit");
        let expected = StoreError::Limit {
            what: "samples",
            used: 360,
            limit: 240,
        };
        assert_eq!(budget.add_chunks(1), Err(expected.clone()));
        assert_eq!(budget.add_series(1), Err(expected.clone()));
        assert_eq!(budget.exceeded(), Some(expected));
    }

    #[test]
    fn pool_gets_its_bytes_back() {
        let pool = Pool::new(100);
        let first = pool.reserve(60).expect("free");
        assert!(pool.reserve(50).is_err());
        drop(first);
        let _all = pool.reserve(100).expect("free again");
    }
}
