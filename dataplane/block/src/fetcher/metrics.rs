//! What fetching tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

const SYNC_SECONDS: [f64; 7] = [0.01, 1.0, 10.0, 100.0, 300.0, 600.0, 1000.0];

/// `thanos_blocks_meta_*`.
#[derive(Debug, Clone)]
pub struct FetcherMetrics {
    pub(super) syncs: Counter,
    pub(super) failures: Counter,
    pub(super) seconds: Histogram,
    synced: Family<State, Gauge>,
}

impl FetcherMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let this = Self {
            syncs: Counter::default(),
            failures: Counter::default(),
            seconds: Histogram::new(SYNC_SECONDS),
            synced: Family::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "thanos_blocks_meta_syncs",
                "Total blocks metadata synchronization attempts",
                this.syncs.clone(),
            );
            registry.register(
                "thanos_blocks_meta_sync_failures",
                "Total blocks metadata synchronization failures",
                this.failures.clone(),
            );
            registry.register(
                "thanos_blocks_meta_sync_duration_seconds",
                "Duration of the blocks metadata synchronization in seconds",
                this.seconds.clone(),
            );
            registry.register(
                "thanos_blocks_meta_synced",
                "Number of block metadata synced",
                this.synced.clone(),
            );
        });
        this
    }

    /// Sets how many blocks are in a state, e.g. `loaded` or `duplicate`.
    pub fn set_state(&self, state: &'static str, blocks: usize) {
        self.synced
            .get_or_create(&State { state })
            .set(blocks as i64);
    }
}
