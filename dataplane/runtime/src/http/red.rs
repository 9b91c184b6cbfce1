//! Rate, errors and duration of HTTP requests, under the names that dashboards use.

use std::borrow::Cow;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    code: u16,
    handler: Cow<'static, str>,
    method: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Inflight {
    handler: Cow<'static, str>,
    method: Cow<'static, str>,
}

const DURATION_SECONDS: [f64; 18] = [
    0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0, 240.0,
    360.0, 720.0,
];

#[derive(Debug, Clone)]
pub(super) struct Red {
    requests: Family<Answered, Counter>,
    duration: Family<Answered, Histogram>,
    inflight: Family<Inflight, Gauge>,
}

impl Red {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let red = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_SECONDS)),
            inflight: Family::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "http_requests",
                "Tracks the number of HTTP requests",
                red.requests.clone(),
            );
            registry.register(
                "http_request_duration_seconds",
                "Tracks the latencies for HTTP requests",
                red.duration.clone(),
            );
            registry.register(
                "http_inflight_requests",
                "Current number of HTTP requests the handler is responding to",
                red.inflight.clone(),
            );
        });
        red
    }
}

pub(super) async fn observe(State(red): State<Red>, request: Request, next: Next) -> Response {
    let handler = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(Cow::Borrowed("unknown"), |path| {
            Cow::Owned(handler_name(path.as_str()))
        });
    let method = Cow::Borrowed(method_name(request.method()));
    let inflight = Inflight { handler, method };
    let guard = InflightGuard::enter(red.inflight.get_or_create_owned(&inflight));
    let begun = Instant::now();
    let response = next.run(request).await;
    drop(guard);
    let Inflight { handler, method } = inflight;
    let answered = Answered {
        code: response.status().as_u16(),
        handler,
        method,
    };
    red.requests.get_or_create(&answered).inc();
    red.duration
        .get_or_create(&answered)
        .observe(begun.elapsed().as_secs_f64());
    response
}

/// Counts down also when the client goes away and the request is dropped.
struct InflightGuard(Gauge);

impl InflightGuard {
    fn enter(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InflightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `/api/v1/label/{name}/values` is `label_values`; the route, not the path, so it is bounded.
fn handler_name(route: &str) -> String {
    let route = route.strip_prefix("/api/v1").unwrap_or(route);
    let parts: Vec<&str> = route
        .split('/')
        .filter(|part| !part.is_empty() && *part != "-" && !part.starts_with('{'))
        .collect();
    if parts.is_empty() {
        "root".to_owned()
    } else {
        parts.join("_")
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::DELETE => "delete",
        Method::HEAD => "head",
        Method::OPTIONS => "options",
        Method::PATCH => "patch",
        _ => "unknown",
    }
}
