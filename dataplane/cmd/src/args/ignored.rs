//! Flags of Thanos that tune machinery which is not here: accepted, so that existing command lines
//! work, and warned of. A flag that would change answers or protect something is never among them.

use clap::{Arg, ArgAction, ArgMatches};

use super::is_given;

const EVERYWHERE: [&str; 6] = [
    "tracing.config",
    "tracing.config-file",
    "auto-gomemlimit.ratio",
    "enable-auto-gomemlimit",
    "request.logging-config",
    "request.logging-config-file",
];

const QUERY: [&str; 14] = [
    "query.max-concurrent-select",
    "query.active-query-path",
    "query.disable-fallback",
    "query.partition-label",
    "query.conn-metric.label",
    "query.telemetry.request-duration-seconds-quantiles",
    "query.telemetry.request-samples-quantiles",
    "query.telemetry.request-series-seconds-quantiles",
    "query.lazy-retrieval-max-buffered-responses",
    "grpc.proxy-strategy",
    "grpc-compression",
    "store.sd-dns-resolver",
    "alert.query-url",
    "web.prefix-header",
];

const QUERY_FRONTEND: [&str; 9] = [
    "labels.split-interval",
    "labels.max-query-parallelism",
    "labels.response-cache-max-freshness",
    "labels.response-cache-config",
    "labels.response-cache-config-file",
    "cache-compression-type",
    "query-frontend.org-id-header",
    "query-frontend.enable-x-functions",
    "enable-feature",
];

const SIDECAR: [&str; 2] = ["prometheus.ready_timeout", "reloader.process-name"];

const STORE: [&str; 14] = [
    "cache-index-header",
    "matcher-cache-size",
    "block-discovery-strategy",
    "store.caching-bucket.config",
    "store.caching-bucket.config-file",
    "store.enable-index-header-lazy-reader",
    "store.index-header-lazy-download-strategy",
    "store.enable-lazy-expanded-postings",
    "store.posting-group-max-key-series-ratio",
    "store.index-header-posting-offsets-in-mem-sampling",
    "debug.series-batch-size",
    "debug.estimated-max-series-size",
    "debug.estimated-max-chunk-size",
    "disable-admin-operations",
];

const COMPACT: [&str; 12] = [
    "block-discovery-strategy",
    "block-files-concurrency",
    "compact.progress-interval",
    // Chunks out of order are repaired, so that there is nothing to skip.
    "compact.skip-block-with-out-of-order-chunks",
    // Nothing halts: a block that cannot be read is put aside.
    "debug.halt-on-error",
    "disable-admin-operations",
    "block-viewer.global.sync-block-interval",
    "block-viewer.global.sync-block-timeout",
    "web.external-prefix",
    "web.prefix-header",
    "web.disable-cors",
    "web.route-prefix",
];

/// Those of them that take no value.
const SWITCHES: [&str; 10] = [
    "compact.skip-block-with-out-of-order-chunks",
    "debug.halt-on-error",
    "web.disable-cors",
    "query-frontend.enable-x-functions",
    "enable-auto-gomemlimit",
    "query.disable-fallback",
    "cache-index-header",
    "store.enable-index-header-lazy-reader",
    "store.enable-lazy-expanded-postings",
    "disable-admin-operations",
];

fn names(subcommand: &str) -> Vec<&'static str> {
    let own: &[&[&str]] = match subcommand {
        "query" => &[&EVERYWHERE, &QUERY],
        "query-frontend" => &[&EVERYWHERE, &QUERY_FRONTEND],
        "sidecar" => &[&EVERYWHERE, &SIDECAR],
        "store" => &[&EVERYWHERE, &STORE],
        "compact" => &[&EVERYWHERE, &COMPACT],
        "all-in-one" => &[&EVERYWHERE, &QUERY, &STORE],
        _ => &[],
    };
    own.iter().flat_map(|names| names.iter().copied()).collect()
}

/// Adds the flags to a subcommand.
pub(super) fn add(command: clap::Command, subcommand: &str) -> clap::Command {
    command.args(names(subcommand).into_iter().map(|name| {
        let arg = Arg::new(name).long(name).hide(true);
        if SWITCHES.contains(&name) {
            arg.action(ArgAction::Set)
                .value_parser(clap::value_parser!(bool))
        } else {
            arg.action(ArgAction::Append)
        }
    }))
}

/// Says of each that was given that it does nothing.
pub(super) fn warnings(subcommand: &str, matches: &ArgMatches) -> Vec<String> {
    let given = names(subcommand)
        .into_iter()
        .filter(|name| is_given(matches, name));
    given
        .map(|name| format!("flag --{name} is accepted for compatibility and has no effect"))
        .collect()
}
