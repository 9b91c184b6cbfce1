//! A page of blocks, and the same as data: `/blocks`, `/api/v1/blocks`, `/api/v1/blocks/mark`.

use std::fmt::Write;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use block::View;
use model::ulid::BlockId;
use objstore::Bucket;
use runtime::clock::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::listing::BlockRow;
use crate::marks::{self, Mark};
use crate::output::{self, Row};
use crate::select::{self, Selection};

/// The page needs nothing but its own style.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:14px sans-serif;margin:1.5rem}table{border-collapse:collapse}\
    th,td{text-align:left;padding:.25rem .75rem;border-bottom:1px solid #ccc;white-space:nowrap}\
    td.labels{white-space:normal}.marked{opacity:.5}";

/// What the page shows and may do.
#[derive(Debug)]
pub struct Site {
    bucket: Arc<dyn Bucket>,
    selection: Selection,
    clock: Arc<dyn Clock>,
    label: String,
    read_only: bool,
    shown: RwLock<Arc<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    view: View,
    refreshed_ms: i64,
    error: Option<String>,
}

impl Site {
    /// Creates a site that shows nothing until it is refreshed. `label` names the external label shown as
    /// heading; nobody may mark blocks by a `read_only` one.
    pub fn new(
        bucket: Arc<dyn Bucket>,
        selection: Selection,
        label: String,
        read_only: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            bucket,
            selection,
            clock,
            label,
            read_only,
            shown: RwLock::default(),
        }
    }

    /// Lists the bucket anew. Where that fails the blocks of before stay, with the reason above them.
    pub async fn refresh(&self) {
        let listed = select::view(Arc::clone(&self.bucket)).await;
        let refreshed_ms = self.clock.now_ms();
        let next = match listed {
            Ok(view) => Shown {
                view,
                refreshed_ms,
                error: None,
            },
            Err(error) => {
                let before = self.shown();
                Shown {
                    view: before.view.clone(),
                    refreshed_ms: before.refreshed_ms,
                    error: Some(runtime::telemetry::chain(&error)),
                }
            }
        };
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Arc::new(next);
    }

    fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn rows(&self, shown: &Shown) -> Vec<BlockRow> {
        let chosen = self.selection.choose(&shown.view).unwrap_or_default();
        chosen
            .into_iter()
            .map(|(id, block)| BlockRow::new(id, block))
            .collect()
    }
}

/// Returns the site's routes.
pub fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary("/blocks")))
        .route("/blocks", get(page))
        .route("/api/v1/blocks", get(blocks))
        .route("/api/v1/blocks/mark", post(mark))
        .with_state(site)
}

async fn page(State(site): State<Arc<Site>>) -> Response {
    let shown = site.shown();
    let policy = (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    (
        [policy],
        Html(html(&shown, &site.rows(&shown), &site.label)),
    )
        .into_response()
}

fn html(shown: &Shown, rows: &[BlockRow], label: &str) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Blocks</title><style>{STYLE}</style>\
         <h1>Blocks</h1><p>{} blocks, listed at {}</p>",
        rows.len(),
        output::time(shown.refreshed_ms)
    );
    if let Some(error) = &shown.error {
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            out,
            "<p role=alert>The bucket cannot be listed now: {}</p>",
            escape(error)
        );
    }
    let heading = |row: &BlockRow| {
        let block = shown.view.blocks.get(&row.ulid);
        let labels = block.map(|block| block::filters::external_labels(&block.meta));
        let value = labels.as_ref().and_then(|labels| labels.get(label));
        value.unwrap_or_default().to_owned()
    };
    let mut sections: std::collections::BTreeMap<String, Vec<&BlockRow>> = Default::default();
    for row in rows {
        sections.entry(heading(row)).or_default().push(row);
    }
    for (heading, rows) in sections {
        if !heading.is_empty() {
            let _ = write!(out, "<h2>{}</h2>", escape(&heading));
        }
        out.push_str("<table><thead><tr>");
        for column in BlockRow::COLUMNS {
            let _ = write!(out, "<th scope=col>{}</th>", escape(column));
        }
        out.push_str("</tr></thead><tbody>");
        for row in rows {
            let marked = row.deletion_time.map_or("", |_| " class=marked");
            let _ = write!(out, "<tr{marked}>");
            for (column, cell) in BlockRow::COLUMNS.iter().zip(row.cells()) {
                let class = if *column == "LABELS" {
                    " class=labels"
                } else {
                    ""
                };
                let _ = write!(out, "<td{class}>{}</td>", escape(&cell));
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table>");
    }
    out.push_str("</html>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

async fn blocks(State(site): State<Arc<Site>>) -> Json<Value> {
    let shown = site.shown();
    let chosen = site.selection.choose(&shown.view).unwrap_or_default();
    let metas: Vec<_> = chosen.iter().map(|(_, block)| &*block.meta).collect();
    Json(json!({
        "status": "success",
        "data": {
            "label": site.label,
            "blocks": metas,
            "refreshedAt": output::time(shown.refreshed_ms),
            "err": shown.error,
        },
    }))
}

#[derive(Debug, Deserialize)]
struct MarkRequest {
    id: String,
    action: String,
    #[serde(default)]
    detail: String,
}

fn refusal(status: StatusCode, error: String) -> Response {
    let kind = match status {
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN => "bad_data",
        _ => "internal",
    };
    let body = json!({ "status": "error", "errorType": kind, "error": error });
    (status, Json(body)).into_response()
}

async fn mark(State(site): State<Arc<Site>>, Query(request): Query<MarkRequest>) -> Response {
    if site.read_only {
        let reason = "marking is off; start without --disable-admin-operations".to_owned();
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    let Ok(id) = request.id.parse::<BlockId>() else {
        return refusal(
            StatusCode::BAD_REQUEST,
            format!("{:?} is no block", request.id),
        );
    };
    let mark = match request.action.as_str() {
        "DELETION" => Mark::Deletion,
        "NO_COMPACTION" => Mark::NoCompact,
        "NO_DOWNSAMPLE" => Mark::NoDownsample,
        action => {
            let reason = format!("{action:?} is no action; use DELETION or NO_COMPACTION");
            return refusal(StatusCode::BAD_REQUEST, reason);
        }
    };
    let now_ms = site.clock.now_ms();
    match marks::put(&*site.bucket, id, mark, &request.detail, now_ms).await {
        Ok(_) => Json(json!({ "status": "success" })).into_response(),
        Err(error) => {
            let status = match error {
                crate::ToolError::NoBlock(_) => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refusal(status, runtime::telemetry::chain(&error))
        }
    }
}
