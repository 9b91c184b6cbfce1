//! Which further flags a stack's author may pass to a component. A flag that names a file, opens a
//! listener, turns authentication or safety off, or that the operator sets itself, is not here.

/// Flags one component takes from `extraArgs`.
#[derive(Debug)]
pub struct AllowList {
    component: &'static str,
    flags: &'static [&'static str],
}

/// Flags of Prometheus.
pub const PROMETHEUS: AllowList = AllowList {
    component: "prometheus",
    flags: &[
        "enable-feature",
        "query.lookback-delta",
        "query.max-concurrency",
        "query.max-samples",
        "query.timeout",
        "rules.alert.for-grace-period",
        "rules.alert.for-outage-tolerance",
        "rules.alert.resend-delay",
        "rules.max-concurrent-evals",
        "storage.remote.flush-deadline",
        "storage.remote.read-concurrent-limit",
        "storage.remote.read-max-bytes-in-frame",
        "storage.remote.read-sample-limit",
        "web.cors.origin",
        "web.enable-otlp-receiver",
        "web.enable-remote-write-receiver",
        "web.max-connections",
        "web.page-title",
        "web.read-timeout",
    ],
};

/// Flags of the sidecar.
pub const SIDECAR: AllowList = AllowList {
    component: "sidecar",
    flags: &[
        "grpc-grace-period",
        "grpc-server-max-connection-age",
        "hash-func",
        "http-grace-period",
        "min-time",
        "prometheus.get_config_interval",
        "prometheus.get_config_timeout",
        "prometheus.ready_timeout",
        "reloader.retry-interval",
        "reloader.watch-interval",
        "shipper.upload-compacted",
        "shipper.upload-concurrency",
        "store.limits.request-samples",
        "store.limits.request-series",
    ],
};

/// Flags of the querier.
pub const QUERY: AllowList = AllowList {
    component: "query",
    flags: &[
        "alert.query-url",
        "deduplication.func",
        "enable-feature",
        "grpc-grace-period",
        "grpc-server-max-connection-age",
        "grpc.proxy-strategy",
        "http-grace-period",
        "query.auto-downsampling",
        "query.default-evaluation-interval",
        "query.default-step",
        "query.lookback-delta",
        "query.max-concurrent",
        "query.max-concurrent-select",
        "query.metadata.default-time-range",
        "query.partial-response",
        "query.timeout",
        "selector-label",
        "store.limits.request-samples",
        "store.limits.request-series",
        "store.response-timeout",
        "store.sd-dns-interval",
        "store.unhealthy-timeout",
        "web.disable-cors",
        "web.external-prefix",
        "web.prefix-header",
    ],
};

/// Flags of the store gateway.
pub const STORE: AllowList = AllowList {
    component: "store",
    flags: &[
        "block-discovery-strategy",
        "block-meta-fetch-concurrency",
        "block-sync-concurrency",
        "chunk-pool-size",
        "consistency-delay",
        "grpc-grace-period",
        "grpc-server-max-connection-age",
        "http-grace-period",
        "ignore-deletion-marks-delay",
        "index-cache-size",
        "max-time",
        "min-time",
        "store.enable-index-header-lazy-reader",
        "store.enable-lazy-expanded-postings",
        "store.grpc.downloaded-bytes-limit",
        "store.grpc.series-max-concurrency",
        "store.limits.request-samples",
        "store.limits.request-series",
        "sync-block-duration",
    ],
};

/// Flags of the compactor.
pub const COMPACT: AllowList = AllowList {
    component: "compact",
    flags: &[
        "block-meta-fetch-concurrency",
        "compact.block-max-index-size",
        "compact.blocks-fetch-concurrency",
        "compact.cleanup-interval",
        "consistency-delay",
        "http-grace-period",
        "max-time",
        "min-time",
        "retention.dry-run",
        "wait-interval",
    ],
};

/// Flags of Alertmanager.
pub const ALERTMANAGER: AllowList = AllowList {
    component: "alertmanager",
    flags: &[
        "alerts.gc-interval",
        "alerts.per-alertname-limit",
        "auto-gomemlimit.ratio",
        "cluster.gossip-interval",
        "cluster.peer-timeout",
        "cluster.peers-resolve-timeout",
        "cluster.probe-interval",
        "cluster.probe-timeout",
        "cluster.pushpull-interval",
        "cluster.reconnect-interval",
        "cluster.settle-timeout",
        "cluster.tcp-timeout",
        "data.maintenance-interval",
        "dispatch.maintenance-interval",
        "dispatch.start-delay",
        "enable-feature",
        "log.silences",
        "silences.max-silence-size-bytes",
        "silences.max-silences",
        "web.get-concurrency",
        "web.timeout",
    ],
};

/// Flags of Grafana: none, it is configured by files.
pub const GRAFANA: AllowList = AllowList {
    component: "grafana",
    flags: &[],
};

/// Flags of kube-state-metrics.
pub const KUBE_STATE_METRICS: AllowList = AllowList {
    component: "kube-state-metrics",
    flags: &[
        "metric-allowlist",
        "metric-annotations-allowlist",
        "metric-denylist",
        "metric-labels-allowlist",
        "metric-opt-in-list",
        "namespaces",
        "namespaces-denylist",
        "use-apiserver-cache",
    ],
};

/// Flags of node-exporter.
pub const NODE_EXPORTER: AllowList = AllowList {
    component: "node-exporter",
    flags: &[
        "collector.cpu.info",
        "collector.disable-defaults",
        "collector.filesystem.fs-types-exclude",
        "collector.filesystem.mount-points-exclude",
        "collector.hwmon",
        "collector.netclass.ignored-devices",
        "collector.netdev.device-exclude",
        "collector.processes",
        "collector.tcpstat",
        "collector.thermal_zone",
    ],
};

impl AllowList {
    /// The flags' names, without dashes.
    pub fn flags(&self) -> &'static [&'static str] {
        self.flags
    }

    /// Checks one argument.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the stack.
    pub fn check(&self, arg: &str) -> Result<(), String> {
        let Some(flag) = arg.strip_prefix("--") else {
            return Err(format!("{arg:?} is no flag; write --name=value"));
        };
        let name = flag.split('=').next().unwrap_or(flag);
        // The `no-` form of a boolean flag is the same flag.
        let name = name.strip_prefix("no-").unwrap_or(name);
        if self.flags.contains(&name) {
            return Ok(());
        }
        Err(format!(
            "flag --{name} may not be set for {}: the operator sets it, or it is not on the allow-list ({})",
            self.component,
            self.flags.join(", ")
        ))
    }
}

/// The flag's name in `--name=value` or `--name`.
pub fn flag_name(arg: &str) -> &str {
    arg.split('=').next().unwrap_or(arg)
}
