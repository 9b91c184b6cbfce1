//! `/api/v1/labels`, `/api/v1/label/<name>/values` and `/api/v1/series`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use futures::StreamExt;
use http::HeaderMap;
use model::{Labels, Matcher, TimeRange};
use storeapi::{
    Coverage, ErrorKind, LabelsAnswer, LabelsRequest, SeriesFrame, SeriesRequest, StoreError,
};

use super::coverage::Summary;
use super::error::{ApiError, ErrorType};
use super::form::{Form, MAX_TIME_MS, MIN_TIME_MS};
use super::{Api, Scope, State, answer, json};

const TRUNCATED: &str = "results truncated due to limit";
/// Prefix of label names in the escaping that lets any text be a name.
const ESCAPED: &str = "U__";

/// Names or labels found, and how complete they are.
#[derive(Default)]
struct Found<T> {
    values: BTreeSet<T>,
    warnings: BTreeSet<String>,
    partial: bool,
    summary: Summary,
}

impl<T: Ord> Found<T> {
    fn note(&mut self, warnings: Vec<String>, coverage: &Coverage) {
        self.partial |= coverage.stores.iter().any(|store| store.error.is_some());
        self.partial |= !warnings.is_empty();
        self.summary.add(Summary::of([coverage]));
        self.warnings.extend(warnings);
    }

    fn respond(self, limit: usize) -> Response
    where
        T: serde::Serialize,
    {
        let mut warnings: Vec<String> = self.warnings.into_iter().collect();
        let mut values: Vec<T> = self.values.into_iter().collect();
        if limit > 0 && values.len() > limit {
            values.truncate(limit);
            warnings.push(TRUNCATED.to_owned());
        }
        let mut response = answer(json::body(&values, &warnings, &[]), self.partial);
        self.summary.write(response.headers_mut());
        response
    }
}

pub(super) async fn label_names(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    let asked = Asked::decode(&api, &headers, &form, ApiError::bad_data)?;
    let mut found = Found::default();
    for request in asked.labels_requests() {
        let (names, coverage) = api.service.proxy.names(&request).await?;
        collect(&mut found, names, &coverage);
    }
    Ok(found.respond(asked.limit))
}

pub(super) async fn label_values(
    api: State,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    // Only a name that is not UTF-8 is rejected.
    let Path(name) = name.map_err(|_| ApiError::bad_data("invalid label name: not UTF-8"))?;
    let name = if name.starts_with(ESCAPED) {
        unescape(&name)
    } else {
        name
    };
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let asked = Asked::decode(&api, &headers, &form, ApiError::bad_data)?;
    let mut found = Found::default();
    for request in asked.labels_requests() {
        let (values, coverage) = api.service.proxy.values(&name, &request).await?;
        collect(&mut found, values, &coverage);
    }
    Ok(found.respond(asked.limit))
}

pub(super) async fn series(
    api: State,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ApiError> {
    if form.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let asked = Asked::decode(&api, &headers, &form, |reason| {
        ApiError::invalid_parameter("match[]", reason)
    })?;
    let mut found = Found::<Labels>::default();
    for matchers in &asked.selectors {
        let request = Arc::new(SeriesRequest {
            skip_chunks: true,
            // Any resolution: labels are the same in all of them.
            max_resolution_ms: i64::MAX,
            partial_response: asked.scope.strategy(),
            without_replica_labels: asked.scope.stripped(),
            limit: asked.hint(),
            store_match: asked.scope.store_match.clone(),
            tenant: asked.scope.tenant.name(),
            ..SeriesRequest::new(asked.range, matchers.clone())
        });
        let mut selected = api.service.proxy.select(&request)?;
        let mut warnings = Vec::new();
        while let Some(frame) = selected.stream.next().await {
            match frame? {
                SeriesFrame::Series(series) => {
                    found.values.insert(series.labels);
                }
                SeriesFrame::Warning(text) => warnings.push(text),
                SeriesFrame::Hints(_) => {}
            }
        }
        found.note(warnings, &selected.coverage.snapshot());
    }
    Ok(found.respond(asked.limit))
}

fn collect(found: &mut Found<String>, answer: LabelsAnswer, coverage: &Coverage) {
    found.values.extend(answer.values);
    found.note(answer.warnings, coverage);
}

struct Asked {
    scope: Scope,
    range: TimeRange,
    selectors: Vec<Vec<Matcher>>,
    limit: usize,
}

impl Asked {
    /// `wrong` makes the error of a selector.
    fn decode(
        api: &Api,
        headers: &HeaderMap,
        form: &Form,
        wrong: fn(String) -> ApiError,
    ) -> Result<Self, ApiError> {
        let limit = form.limit()?;
        let back = i64::try_from(api.config.answers.metadata_range.as_millis()).unwrap_or(i64::MAX);
        let end_default = if back > 0 {
            api.kit.clock.now_ms()
        } else {
            MAX_TIME_MS
        };
        let end = form.time_or("end", end_default)?;
        let start_default = if back > 0 {
            end.saturating_sub(back)
        } else {
            MIN_TIME_MS
        };
        let start = form.time_or("start", start_default)?;
        if end < start {
            return Err(ApiError::bad_data(
                "end timestamp must not be before start timestamp",
            ));
        }
        let scope = Scope::decode(api, form, headers)?;
        let mut selectors = form.series_selectors().map_err(wrong)?;
        scope.tenant.restrict_all(&mut selectors);
        Ok(Self {
            scope,
            range: TimeRange::new(start, end),
            selectors,
            limit,
        })
    }

    /// One request a selector; one for all series where there is none.
    fn labels_requests(&self) -> Vec<Arc<LabelsRequest>> {
        let request = |matchers: Vec<Matcher>| {
            Arc::new(LabelsRequest {
                range: Some(self.range),
                matchers,
                partial_response: self.scope.strategy(),
                without_replica_labels: self.scope.stripped(),
                limit: self.hint(),
                store_match: self.scope.store_match.clone(),
                tenant: self.scope.tenant.name(),
                ..LabelsRequest::default()
            })
        };
        if self.selectors.is_empty() {
            return vec![request(Vec::new())];
        }
        self.selectors.iter().cloned().map(request).collect()
    }

    /// One more than is shown, to know whether there is more.
    fn hint(&self) -> u64 {
        if self.limit == 0 {
            0
        } else {
            self.limit.saturating_add(1) as u64
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid => ErrorType::BadData,
            ErrorKind::Timeout => ErrorType::Timeout,
            ErrorKind::Canceled => ErrorType::Canceled,
            ErrorKind::Internal => ErrorType::Internal,
            _ => ErrorType::Execution,
        };
        Self::new(kind, error.to_string())
    }
}

/// Undoes the escaping of names that old formats cannot hold: `_xx_` is the code point, `__` is `_`.
/// A text that is not in this escaping is returned as it is.
fn unescape(name: &str) -> String {
    let Some(escaped) = name.strip_prefix(ESCAPED) else {
        return name.to_owned();
    };
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('_') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let Some((code, after)) = after.split_once('_') else {
            return name.to_owned();
        };
        let decoded = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        let Some(decoded) = decoded.filter(|_| code.len() <= 6) else {
            return name.to_owned();
        };
        out.push(decoded);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn escaped_names_are_read_back() {
        for (escaped, name) in [
            ("U__http_2e_status", "http.status"),
            ("U__a__b", "a_b"),
            ("U__caf_e9_", "café"),
            ("U__broken_2e", "U__broken_2e"),
            ("U__broken_zz_", "U__broken_zz_"),
            ("plain", "plain"),
        ] {
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
    }
}
