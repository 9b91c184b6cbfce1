//! `/api/v1/status/hindsight`: what an operator wants to know of this sidecar.

use axum::Router;
use axum::extract::State;
use axum::response::Json;
use axum::routing::get;
use serde::Serialize;
use tokio::sync::watch;

use crate::reload::ReloadState;
use crate::ship::ShipStatus;
use crate::store::Identity;

/// The path of the page.
pub const PATH: &str = "/api/v1/status/hindsight";

/// What the page is made of.
#[derive(Debug, Clone)]
pub struct StatusSource {
    pub version: &'static str,
    pub reload: watch::Receiver<ReloadState>,
    pub identity: watch::Receiver<Identity>,
    /// Absent where nothing is uploaded.
    pub ship: Option<watch::Receiver<ShipStatus>>,
}

#[derive(Serialize)]
struct Envelope {
    status: &'static str,
    data: Status,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    component: &'static str,
    version: &'static str,
    /// SHA-256 of the template that Prometheus last loaded with success.
    config_hash: Option<String>,
    /// SHA-256 of the template as it is mounted now.
    wanted_config_hash: Option<String>,
    config_error: Option<String>,
    external_labels: model::Labels,
    min_time: i64,
    uploads: bool,
    upload_error: Option<String>,
    /// Milliseconds since the epoch.
    last_upload: Option<i64>,
    uploaded_blocks: u64,
}

/// Returns the route.
pub fn routes(source: StatusSource) -> Router {
    Router::new().route(PATH, get(status)).with_state(source)
}

async fn status(State(source): State<StatusSource>) -> Json<Envelope> {
    let reload = source.reload.borrow().clone();
    let identity = source.identity.borrow().clone();
    let ship = source.ship.as_ref().map(|ship| ship.borrow().clone());
    Json(Envelope {
        status: "success",
        data: Status {
            component: "sidecar",
            version: source.version,
            config_hash: reload.loaded,
            wanted_config_hash: reload.wanted,
            config_error: reload.error,
            external_labels: identity.external_labels,
            min_time: identity.min_time,
            uploads: ship.is_some(),
            upload_error: ship.as_ref().and_then(|ship| ship.error.clone()),
            last_upload: ship.as_ref().and_then(|ship| ship.last_upload_ms),
            uploaded_blocks: ship.map_or(0, |ship| ship.uploaded),
        },
    })
}
