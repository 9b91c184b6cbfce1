//! Rate, errors and duration of gRPC calls, under the names that dashboards use.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use tonic::Code;

use crate::metrics::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Started {
    grpc_type: &'static str,
    grpc_service: Cow<'static, str>,
    grpc_method: Cow<'static, str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handled {
    grpc_type: &'static str,
    grpc_service: Cow<'static, str>,
    grpc_method: Cow<'static, str>,
    grpc_code: &'static str,
}

const HANDLING_SECONDS: [f64; 17] = [
    0.001, 0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 6.0, 9.0, 20.0, 30.0, 60.0, 90.0, 120.0, 240.0,
    360.0,
];

#[derive(Debug, Clone)]
pub(super) struct RpcMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Family<Started, Counter>,
    handled: Family<Handled, Counter>,
    handling: Family<Started, Histogram>,
    streaming: &'static [&'static str],
}

impl RpcMetrics {
    pub(super) fn register(metrics: &Metrics, streaming: &'static [&'static str]) -> Self {
        let inner = Inner {
            started: Family::default(),
            handled: Family::default(),
            handling: Family::new_with_constructor(|| Histogram::new(HANDLING_SECONDS)),
            streaming,
        };
        metrics.register(|registry| {
            registry.register(
                "grpc_server_started",
                "Total number of RPCs started on the server",
                inner.started.clone(),
            );
            registry.register(
                "grpc_server_handled",
                "Total number of RPCs completed on the server, regardless of success or failure",
                inner.handled.clone(),
            );
            registry.register(
                "grpc_server_handling_seconds",
                "Histogram of response latency (seconds) of gRPC that had been application-level \
                 handled by the server",
                inner.handling.clone(),
            );
        });
        Self(Arc::new(inner))
    }
}

pub(super) async fn observe(
    State(metrics): State<RpcMetrics>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    // An answer that is only trailers carries its status among the headers.
    let code = status_of(response.headers());
    let labels = metrics.0.labels(&path, code);
    metrics.0.started.get_or_create(&labels).inc();
    let call = Call {
        metrics,
        labels,
        begun,
        code,
    };
    response.map(|inner| Body::new(MeteredBody { inner, call }))
}

impl Inner {
    fn labels(&self, path: &str, code: Option<Code>) -> Started {
        // Whoever calls may invent methods; those must not become label values.
        let named = path.trim_start_matches('/').split_once('/');
        let (service, method) = match named {
            Some((service, method)) if code != Some(Code::Unimplemented) => (
                Cow::Owned(service.to_owned()),
                Cow::Owned(method.to_owned()),
            ),
            _ => (Cow::Borrowed("unknown"), Cow::Borrowed("unknown")),
        };
        let grpc_type = if self.streaming.contains(&path) {
            "server_stream"
        } else {
            "unary"
        };
        Started {
            grpc_type,
            grpc_service: service,
            grpc_method: method,
        }
    }
}

fn status_of(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|value| Code::from_bytes(value.as_bytes()))
}

struct Call {
    metrics: RpcMetrics,
    labels: Started,
    begun: Instant,
    code: Option<Code>,
}

impl Drop for Call {
    fn drop(&mut self) {
        let Started {
            grpc_type,
            grpc_service,
            grpc_method,
        } = self.labels.clone();
        // A body dropped before its trailers is a client that went away.
        let grpc_code = code_name(self.code.unwrap_or(Code::Cancelled));
        let handled = Handled {
            grpc_type,
            grpc_service,
            grpc_method,
            grpc_code,
        };
        self.metrics.0.handled.get_or_create(&handled).inc();
        let seconds = self.begun.elapsed().as_secs_f64();
        self.metrics
            .0
            .handling
            .get_or_create(&self.labels)
            .observe(seconds);
    }
}

struct MeteredBody {
    inner: Body,
    call: Call,
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.code = status_of(trailers).or(self.call.code);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
