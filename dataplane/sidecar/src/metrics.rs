//! The sidecar's figures, under the names that the field's alerts and dashboards use.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use runtime::metrics::Metrics;

/// All of them, registered once.
#[derive(Debug, Clone, Default)]
pub struct SidecarMetrics {
    pub prometheus_up: Gauge,
    pub last_heartbeat: Gauge<f64, AtomicU64>,
    pub reloads: Counter,
    pub reload_failures: Counter,
    pub last_reload_successful: Gauge,
    pub dir_syncs: Counter,
    pub dir_sync_failures: Counter,
    pub uploads: Counter,
    pub upload_failures: Counter,
    pub corrupted_blocks: Counter,
    pub upload_compacted_done: Gauge,
}

impl SidecarMetrics {
    /// Registers them.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register(|registry| {
            registry.register(
                "thanos_sidecar_prometheus_up",
                "Whether the Prometheus beside the sidecar answers",
                own.prometheus_up.clone(),
            );
            registry.register(
                "thanos_sidecar_last_heartbeat_success_time_seconds",
                "When Prometheus last answered",
                own.last_heartbeat.clone(),
            );
            registry.register(
                "reloader_reloads",
                "Reloads of Prometheus that were asked for",
                own.reloads.clone(),
            );
            registry.register(
                "reloader_reloads_failed",
                "Reloads of Prometheus that failed",
                own.reload_failures.clone(),
            );
            registry.register(
                "reloader_last_reload_successful",
                "Whether the last reload succeeded",
                own.last_reload_successful.clone(),
            );
            registry.register(
                "thanos_shipper_dir_syncs",
                "Looks at the blocks of Prometheus' data folder",
                own.dir_syncs.clone(),
            );
            registry.register(
                "thanos_shipper_dir_sync_failures",
                "Looks at the data folder that failed",
                own.dir_sync_failures.clone(),
            );
            registry.register(
                "thanos_shipper_uploads",
                "Blocks that were uploaded",
                own.uploads.clone(),
            );
            registry.register(
                "thanos_shipper_upload_failures",
                "Blocks whose upload failed and is tried again",
                own.upload_failures.clone(),
            );
            registry.register(
                "thanos_shipper_corrupted_blocks",
                "Blocks that cannot be read and were not uploaded",
                own.corrupted_blocks.clone(),
            );
            registry.register(
                "thanos_shipper_upload_compacted_done",
                "Whether all compacted blocks on disk are uploaded",
                own.upload_compacted_done.clone(),
            );
        });
        own
    }
}
