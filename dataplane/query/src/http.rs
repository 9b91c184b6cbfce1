//! The HTTP API: decode, call the service, encode; nothing else.
//!
//! In reading order: [`form`] (parameters), `scope` (those that all calls about series share, the
//! tenant among them), [`error`], `coverage` (who took part in an answer) and `json` with `gojson`, `number` and `histogram` (the bodies), then
//! the handlers: `query`, `explain`, `why`, `metadata` (labels and series), `language` with `tree` (parsing, formatting,
//! features), `remote_read`, `federate`, `peers` (rules, targets, metric metadata, exemplars), `status`, `openapi` (what all of them take and answer).

mod coverage;
mod error;
mod explain;
mod federate;
mod form;
mod gojson;
mod histogram;
mod json;
mod language;
mod metadata;
mod number;
mod openapi;
mod peers;
mod query;
mod remote_read;
mod scope;
mod status;
mod tree;
mod why;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use runtime::service::Kit;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::config::Config;
use crate::endpoints::EndpointSet;
use crate::service::Service;
use error::ApiError;
use form::Form;
use scope::Scope;

/// Says that an answer lacks the data of a store; many callers drop warnings but see headers.
const PARTIAL_RESPONSE: HeaderName = HeaderName::from_static("x-partial-response");

/// What the handlers need.
pub(crate) struct Api {
    pub(crate) service: Arc<Service>,
    pub(crate) endpoints: Arc<EndpointSet>,
    pub(crate) kit: Kit,
    pub(crate) config: Config,
    /// The name of the component that serves it, for its status.
    pub(crate) component: &'static str,
    pub(crate) started_ms: i64,
}

type State = axum::extract::State<Arc<Api>>;

/// Returns all routes of a querier under its prefix.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let prefix = api.config.web.route_prefix.clone();
    let cors = !api.config.web.disable_cors;
    let routes = routes().into_iter();
    let v1 = routes
        .fold(Router::new(), |v1, (path, handler)| v1.route(path, handler))
        .fallback(not_found)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    let v1 = if cors {
        v1.layer(axum::middleware::from_fn(allow_origins))
    } else {
        v1
    };
    let pages = Router::new()
        .nest("/api/v1", v1)
        .route("/federate", get(federate::federate))
        .merge(ui::router(api.kit.build.version))
        .with_state(api);
    if prefix.is_empty() {
        return pages;
    }
    // The page's addresses are relative, so it has to end in a slash. So are those sent here: a proxy
    // may have taken a prefix of its own away.
    let relative = prefix.trim_start_matches('/');
    let last = relative.rsplit('/').next().unwrap_or(relative);
    let redirect = |to: &str| {
        let to = format!("{to}/");
        get(async move || axum::response::Redirect::temporary(&to))
    };
    Router::new()
        .route("/", redirect(relative))
        .route(&prefix, redirect(last))
        .nest(&format!("{prefix}/"), pages)
}

/// Returns the calls of the API; [`openapi`] describes each.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    // Forms may be long, so what takes selectors is also posted.
    macro_rules! both {
        ($handler:path) => {
            get($handler).post($handler)
        };
    }
    vec![
        ("/query", both!(query::instant)),
        ("/query_range", both!(query::range)),
        ("/query_explain", both!(explain::instant)),
        ("/query_range_explain", both!(explain::range)),
        ("/why", both!(why::why)),
        ("/series", both!(metadata::series)),
        ("/labels", both!(metadata::label_names)),
        ("/label/{name}/values", get(metadata::label_values)),
        ("/parse_query", both!(language::parse_query)),
        ("/format_query", both!(language::format_query)),
        ("/features", get(language::features)),
        ("/read", post(remote_read::read)),
        ("/stores", get(status::stores)),
        ("/rules", get(peers::rules)),
        ("/alerts", get(peers::alerts)),
        ("/targets", get(peers::targets)),
        ("/metadata", get(peers::metric_metadata)),
        ("/query_exemplars", both!(peers::exemplars)),
        ("/status/buildinfo", get(status::build_info)),
        ("/status/config", get(status::config)),
        ("/status/flags", get(status::flags)),
        ("/status/runtimeinfo", get(status::runtime_info)),
        ("/status/tsdb", get(status::tsdb)),
        ("/status/hindsight", get(status::hindsight)),
        ("/openapi.yaml", get(openapi::document)),
    ]
}

async fn not_found(request: Request) -> ApiError {
    let path = request.uri().path().to_owned();
    ApiError::new(error::ErrorType::NotFound, format!("no such API: {path}"))
}

/// Lets pages of other origins call the API, and answers their preflight questions.
async fn allow_origins(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Accept, Accept-Encoding, Authorization, Content-Type, Origin",
        ),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Date, X-Hindsight-Coverage, X-Partial-Response",
        ),
    ];
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns the answer with a body made by [`json`].
fn answer(body: Vec<u8>, partial: bool) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if partial {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PARTIAL_RESPONSE, HeaderValue::from_static("true"));
    }
    response
}

/// Decodes the parameters of a URL and, of a form that was posted, its body.
impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| {
                kind.as_bytes()
                    .starts_with(b"application/x-www-form-urlencoded")
            });
        let query = request.uri().query().unwrap_or("").to_owned();
        if !(is_form && request.method() == Method::POST) {
            return Ok(Self::decode(&query, b""));
        }
        match axum::body::to_bytes(request.into_body(), runtime::http::MAX_BODY_BYTES).await {
            Ok(body) => Ok(Self::decode(&query, &body)),
            Err(error) => {
                let text = format!("error parsing form values: {error}");
                Err(ApiError::bad_data(text).into_response())
            }
        }
    }
}
