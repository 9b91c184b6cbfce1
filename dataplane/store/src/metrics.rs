//! `thanos_bucket_store_*`: what a store gateway tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DataType {
    data_type: &'static str,
}

/// What is read of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Postings lists.
    Postings,
    /// Series entries.
    Series,
    /// Chunks.
    Chunks,
}

/// The metrics of a store gateway.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    pub(crate) block_loads: Counter,
    pub(crate) block_load_failures: Counter,
    pub(crate) block_drops: Counter,
    pub(crate) block_drop_failures: Counter,
    pub(crate) blocks_loaded: Gauge,
    pub(crate) block_read_failures: Counter,
    pub(crate) last_loaded_ms: Gauge,
    pub(crate) blocks_queried: Histogram,
    pub(crate) result_series: Histogram,
    pub(crate) gate_seconds: Histogram,
    pub(crate) get_all_seconds: Histogram,
    pub(crate) sent_chunk_bytes: Histogram,
    touched: [Histogram; 3],
    fetched: [Histogram; 3],
    fetched_bytes: [Histogram; 3],
}

fn counts() -> Histogram {
    Histogram::new((0..9).map(|i| 4f64.powi(i) * 4.0))
}

fn seconds() -> Histogram {
    Histogram::new([
        0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0,
    ])
}

fn bytes() -> Histogram {
    Histogram::new((0..10).map(|i| 4f64.powi(i) * 256.0))
}

impl StoreMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let by_type = |new: fn() -> Histogram| {
            let family: Family<DataType, Histogram, fn() -> Histogram> =
                Family::new_with_constructor(new);
            let each = ["postings", "series", "chunks"]
                .map(|data_type| family.get_or_create_owned(&DataType { data_type }));
            (family, each)
        };
        let (touched_family, touched) = by_type(counts);
        let (fetched_family, fetched) = by_type(counts);
        let (bytes_family, fetched_bytes) = by_type(bytes);
        let this = Self {
            block_loads: Counter::default(),
            block_load_failures: Counter::default(),
            block_drops: Counter::default(),
            block_drop_failures: Counter::default(),
            blocks_loaded: Gauge::default(),
            block_read_failures: Counter::default(),
            last_loaded_ms: Gauge::default(),
            blocks_queried: counts(),
            result_series: counts(),
            gate_seconds: seconds(),
            get_all_seconds: seconds(),
            sent_chunk_bytes: bytes(),
            touched,
            fetched,
            fetched_bytes,
        };
        let prefix = "thanos_bucket_store";
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix(prefix);
            for (name, help, counter) in [
                ("block_loads", "Total number of remote block loading attempts", &this.block_loads),
                (
                    "block_load_failures",
                    "Total number of failed remote block loading attempts",
                    &this.block_load_failures,
                ),
                (
                    "block_drops",
                    "Total number of local blocks that were dropped",
                    &this.block_drops,
                ),
                (
                    "block_drop_failures",
                    "Total number of local blocks that failed to be dropped",
                    &this.block_drop_failures,
                ),
                (
                    "block_read_failures",
                    "Total number of blocks that a request had to leave out as they could not be read",
                    &this.block_read_failures,
                ),
            ] {
                registry.register(name, help, counter.clone());
            }
            registry.register(
                "blocks_loaded",
                "Number of currently loaded blocks",
                this.blocks_loaded.clone(),
            );
            registry.register(
                "blocks_last_loaded_timestamp_milliseconds",
                "Timestamp when last block got loaded",
                this.last_loaded_ms.clone(),
            );
            for (name, help, histogram) in [
                (
                    "series_blocks_queried",
                    "Number of blocks in a bucket store that were touched to satisfy a query",
                    &this.blocks_queried,
                ),
                (
                    "series_result_series",
                    "Number of series observed in the final result of a query",
                    &this.result_series,
                ),
                (
                    "series_gate_duration_seconds",
                    "How many seconds it took for queries to wait at the gate",
                    &this.gate_seconds,
                ),
                (
                    "series_get_all_duration_seconds",
                    "Time it takes until all per-block prepares and loads for a query are finished",
                    &this.get_all_seconds,
                ),
                (
                    "sent_chunk_size_bytes",
                    "Size in bytes of the chunks for the single series, which is adequate to the gRPC \
                     message size sent to querier",
                    &this.sent_chunk_bytes,
                ),
            ] {
                registry.register(name, help, histogram.clone());
            }
            registry.register(
                "series_data_touched",
                "Number of items of a data type touched to fulfill a single Series request",
                touched_family,
            );
            registry.register(
                "series_data_fetched",
                "Number of items of a data type fetched to fulfill a single Series request",
                fetched_family,
            );
            registry.register(
                "series_data_size_fetched_bytes",
                "Size of all items of a data type fetched to fulfill a single Series request",
                bytes_family,
            );
        });
        this
    }

    pub(crate) fn observe(&self, data: Data, touched: u64, fetched: u64, bytes: u64) {
        let index = data as usize;
        self.touched[index].observe(touched as f64);
        self.fetched[index].observe(fetched as f64);
        self.fetched_bytes[index].observe(bytes as f64);
    }
}
