//! What compacting tells of itself, by Thanos' names where it has one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use runtime::metrics::Metrics;
use tsdb::meta::Resolution;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResolution {
    resolution: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMarker {
    marker: &'static str,
    reason: &'static str,
}

const SECONDS: [f64; 9] = [1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0];

/// A counter for each resolution.
#[derive(Debug, Clone, Default)]
pub struct PerResolution(Family<ByResolution, Counter>);

impl PerResolution {
    pub fn inc(&self, resolution: Resolution) {
        let label = ByResolution {
            resolution: resolution.0,
        };
        self.0.get_or_create(&label).inc();
    }

    /// Makes all resolutions visible before anything happened.
    fn begin(&self) {
        for resolution in [
            Resolution::RAW,
            Resolution::FIVE_MINUTES,
            Resolution::ONE_HOUR,
        ] {
            let label = ByResolution {
                resolution: resolution.0,
            };
            drop(self.0.get_or_create(&label));
        }
    }
}

/// `thanos_compact_*`.
#[derive(Debug, Clone)]
pub struct CompactMetrics {
    pub iterations: Counter,
    pub retries: Counter,
    pub halted: Gauge,
    pub runs_started: PerResolution,
    pub runs_completed: PerResolution,
    pub compactions: PerResolution,
    pub vertical_compactions: PerResolution,
    pub failures: PerResolution,
    pub garbage_collections: Counter,
    pub garbage_collection_failures: Counter,
    pub garbage_collected: Counter,
    pub blocks_cleaned: Counter,
    pub block_cleanup_failures: Counter,
    pub partial_deletion_attempts: Counter,
    pub downsamples: PerResolution,
    pub downsample_failures: PerResolution,
    pub downsample_seconds: Histogram,
    pub todo_compactions: Gauge,
    pub todo_compaction_blocks: Gauge,
    pub todo_downsample_blocks: Gauge,
    pub todo_deletion_blocks: Gauge,
    pub lease_held: Gauge,
    pub foreign_compactor: Gauge,
    pub clock_skew_seconds: Gauge,
    pub quarantined_blocks: Gauge,
    pub left_out_blocks: Gauge,
    marked: Family<ByMarker, Counter>,
}

impl CompactMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        metrics.register(|registry| {
            let this = Self {
                iterations: add(registry, "thanos_compact_iterations", "Total number of iterations that were executed successfully"),
                retries: add(registry, "thanos_compact_retries", "Total number of rounds that failed and are tried again"),
                halted: add(registry, "thanos_compact_halted", "Set to 1 if the compactor halted; this one never does, it puts blocks aside"),
                runs_started: add_family(registry, "thanos_compact_group_compaction_runs_started", "Total number of group compaction attempts"),
                runs_completed: add_family(registry, "thanos_compact_group_compaction_runs_completed", "Total number of group completed compaction runs"),
                compactions: add_family(registry, "thanos_compact_group_compactions", "Total number of group compaction attempts that resulted in a new block"),
                vertical_compactions: add_family(registry, "thanos_compact_group_vertical_compactions", "Total number of group compaction attempts that resulted in a new block based on overlapping blocks"),
                failures: add_family(registry, "thanos_compact_group_compactions_failures", "Total number of failed group compactions"),
                garbage_collections: add(registry, "thanos_compact_garbage_collection", "Total number of garbage collection operations"),
                garbage_collection_failures: add(registry, "thanos_compact_garbage_collection_failures", "Total number of failed garbage collection operations"),
                garbage_collected: add(registry, "thanos_compact_garbage_collected_blocks", "Total number of blocks marked for deletion by compactor"),
                blocks_cleaned: add(registry, "thanos_compact_blocks_cleaned", "Total number of blocks deleted in compactor"),
                block_cleanup_failures: add(registry, "thanos_compact_block_cleanup_failures", "Failures encountered while deleting blocks in compactor"),
                partial_deletion_attempts: add(registry, "thanos_compact_aborted_partial_uploads_deletion_attempts", "Total number of started deletions of blocks that are assumed aborted and only partially uploaded"),
                downsamples: add_family(registry, "thanos_compact_downsample", "Total number of downsampling attempts"),
                downsample_failures: add_family(registry, "thanos_compact_downsample_failures", "Total number of failed downsampling attempts"),
                downsample_seconds: Histogram::new(SECONDS),
                todo_compactions: add(registry, "thanos_compact_todo_compactions", "Number of compactions to be done"),
                todo_compaction_blocks: add(registry, "thanos_compact_todo_compaction_blocks", "Number of blocks planned to be compacted"),
                todo_downsample_blocks: add(registry, "thanos_compact_todo_downsample_blocks", "Number of blocks to be downsampled"),
                todo_deletion_blocks: add(registry, "thanos_compact_todo_deletion_blocks", "Number of blocks that have crossed their retention period"),
                lease_held: add(registry, "hindsight_compact_lease_held", "Whether this compactor holds the lease of its shard"),
                foreign_compactor: add(registry, "hindsight_compact_foreign_compactor", "Whether another compactor, which does not heed the lease, made a block lately"),
                clock_skew_seconds: add(registry, "hindsight_compact_clock_skew_seconds", "How far this machine's clock is ahead of the bucket's"),
                quarantined_blocks: add(registry, "hindsight_compact_quarantined_blocks", "Number of blocks that have a no-compact mark"),
                left_out_blocks: add(registry, "hindsight_compact_left_out_blocks", "Number of blocks that overlap others and are not merged"),
                marked: Family::default(),
            };
            registry.register("thanos_compact_blocks_marked", "Total number of blocks marked in compactor", this.marked.clone());
            registry.register("thanos_compact_downsample_duration_seconds", "Duration of downsample runs", this.downsample_seconds.clone());
            this
        })
    }

    /// Counts a mark.
    pub fn marked(&self, marker: &'static str, reason: &'static str) {
        self.marked
            .get_or_create(&ByMarker { marker, reason })
            .inc();
    }
}

fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn add_family(registry: &mut Registry, name: &str, help: &str) -> PerResolution {
    let family = PerResolution::default();
    family.begin();
    registry.register(name, help, family.0.clone());
    family
}
