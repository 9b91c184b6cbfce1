//! The querier's metrics, under the names that dashboards and alerts use.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::metrics::Metrics;

use crate::endpoints::Member;
use crate::service::Outcome;

/// Timespans of range queries: from five minutes to a year.
const TIMESPAN_SECONDS: [f64; 12] = [
    300.0,
    900.0,
    3_600.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
    31_536_000.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Connection {
    external_labels: String,
    store_type: String,
}

/// Of the endpoint set.
#[derive(Debug, Clone)]
pub struct EndpointMetrics {
    pub lookups: Counter,
    pub lookup_failures: Counter,
    connections: Family<Connection, Gauge>,
}

impl EndpointMetrics {
    pub fn register(metrics: &Metrics) -> Self {
        let own = Self {
            lookups: Counter::default(),
            lookup_failures: Counter::default(),
            connections: Family::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "thanos_query_store_apis_dns_lookups",
                "The number of DNS lookups resolutions attempts",
                own.lookups.clone(),
            );
            registry.register(
                "thanos_query_store_apis_dns_failures",
                "The number of DNS lookup failures",
                own.lookup_failures.clone(),
            );
            registry.register(
                "thanos_store_nodes_grpc_connections",
                "Number of gRPC connection to Store APIs. Opened connection means healthy store APIs \
                 available for Querier",
                own.connections.clone(),
            );
        });
        own
    }

    /// Counts the endpoints that answer.
    pub fn observe(&self, members: &[Arc<Member>]) {
        self.connections.clear();
        for member in members.iter().filter(|member| member.is_queryable()) {
            let info = member.info();
            let labels = info
                .label_sets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            self.connections
                .get_or_create_owned(&Connection {
                    external_labels: labels.join(","),
                    store_type: info.component.as_str().to_owned(),
                })
                .inc();
        }
    }
}

/// Of the evaluation of queries.
#[derive(Debug, Clone)]
pub struct QueryMetrics {
    pub in_flight: Gauge,
    pub gate_max: Gauge,
    pub gate_wait: Histogram,
    pub range_timespan: Histogram,
    pub partial_answers: Counter,
    pub stores_asked: Counter,
    pub stores_failed: Counter,
}

impl QueryMetrics {
    pub fn register(metrics: &Metrics) -> Self {
        let own = Self {
            in_flight: Gauge::default(),
            gate_max: Gauge::default(),
            gate_wait: Histogram::new([
                0.01, 0.1, 0.3, 0.6, 1.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 120.0,
            ]),
            range_timespan: Histogram::new(TIMESPAN_SECONDS),
            partial_answers: Counter::default(),
            stores_asked: Counter::default(),
            stores_failed: Counter::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "thanos_query_concurrent_gate_queries_in_flight",
                "Number of queries that are currently in flight",
                own.in_flight.clone(),
            );
            registry.register(
                "thanos_query_concurrent_gate_queries_max",
                "Number of maximum concurrent queries",
                own.gate_max.clone(),
            );
            registry.register(
                "thanos_query_concurrent_gate_duration_seconds",
                "How many seconds it took for queries to wait at the gate",
                own.gate_wait.clone(),
            );
            registry.register(
                "thanos_query_range_requested_timespan_duration_seconds",
                "A histogram of the query range window in seconds",
                own.range_timespan.clone(),
            );
            registry.register(
                "hindsight_query_stores_asked",
                "The number of times that a store was asked for series of a query",
                own.stores_asked.clone(),
            );
            registry.register(
                "hindsight_query_stores_failed",
                "The number of times that a store failed to send all series of a query",
                own.stores_failed.clone(),
            );
            registry.register(
                "hindsight_query_partial_answers",
                "The number of answers that lack the data of at least one store",
                own.partial_answers.clone(),
            );
        });
        own
    }

    /// Counts who took part in an answer.
    pub(crate) fn observe(&self, outcome: &Outcome) {
        for selection in &outcome.coverage {
            let stores = &selection.stores.stores;
            let failed = stores.iter().filter(|store| store.error.is_some());
            self.stores_asked.inc_by(stores.len() as u64);
            self.stores_failed.inc_by(failed.count() as u64);
        }
        if outcome.is_partial() {
            self.partial_answers.inc();
        }
    }
}
