//! `/federate`: the latest sample of each series that matches, in the text format that is scraped.

use std::cmp::Ordering;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::histogram::FloatHistogram;
use model::{Labels, TimeRange};
use promql::number::{format_g, format_open_metrics};
use promql::queryable::{Columns, SelectRequest};

use super::coverage::Summary;
use super::error::ApiError;
use super::form::Form;
use super::{Scope, State};
use crate::service::{Query, QueryError, When, Work};

const FIVE_MINUTES_MS: i64 = 300_000;
const NAME: &str = "__name__";

pub(super) async fn federate(api: State, headers: HeaderMap, form: Form) -> Response {
    let plain = |status: StatusCode, text: String| (status, text + "\n").into_response();
    let request = decode(&api, &headers, &form);
    let (query, selectors) = match request {
        Ok(request) => request,
        Err(error) => return plain(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let now = api.kit.clock.now_ms();
    let lookback = query.lookback_delta_ms.unwrap_or(FIVE_MINUTES_MS);
    let range = TimeRange::new(now.saturating_sub(lookback), now);
    let job = move |work: &Work| {
        let mut latest = Vec::new();
        for matchers in &selectors {
            read_latest(work, matchers, range, &mut latest)?;
        }
        // The format has no stale markers.
        latest.retain(|of| !of.is_stale());
        let coverage = work.coverage();
        let summary = Summary::of(coverage.iter().map(|of| &of.stores));
        let partial = coverage.iter().any(|of| !of.stores.is_complete());
        Ok((write(latest), summary, partial))
    };
    match api.service.perform(&query, job).await {
        Ok((text, summary, partial)) => {
            let mut response = super::answer(text, partial);
            let kind = "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8";
            summary.write(response.headers_mut());
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
        Err(error) => {
            let error = ApiError::from(error);
            plain(error.kind.status(), error.to_string())
        }
    }
}

type Selectors = Vec<Vec<model::Matcher>>;

fn decode(
    api: &super::Api,
    headers: &HeaderMap,
    form: &Form,
) -> Result<(Query, Selectors), ApiError> {
    let scope = Scope::decode(api, form, headers)?;
    let selectors = form.series_selectors().map_err(ApiError::bad_data)?;
    let lookback = api.config.engine.lookback_delta;
    let query = Query {
        lookback_delta_ms: lookback.and_then(|delta| i64::try_from(delta.as_millis()).ok()),
        ..Query::over(scope, When::Instant { ts: 0 })
    };
    Ok((query, selectors))
}

pub(super) enum Value {
    Float(f64),
    Histogram(std::sync::Arc<FloatHistogram>),
}

/// The last sample of a series; it may be a stale marker.
pub(super) struct Latest {
    pub(super) labels: Labels,
    pub(super) ts: i64,
    pub(super) value: Value,
}

impl Latest {
    pub(super) fn is_stale(&self) -> bool {
        match &self.value {
            Value::Float(value) => model::is_stale_nan(*value),
            Value::Histogram(histogram) => histogram.is_stale(),
        }
    }
}

/// Appends the last sample of each series that has one in `range`.
pub(super) fn read_latest(
    work: &Work,
    matchers: &[model::Matcher],
    range: TimeRange,
    out: &mut Vec<Latest>,
) -> Result<(), QueryError> {
    let request = SelectRequest {
        matchers,
        range,
        hints: Default::default(),
    };
    let mut set = work.selection.open(&request, &work.context)?;
    let mut columns = Columns::default();
    while let Some(series) = set.next_encoded()? {
        let labels = series.labels.clone();
        let mut data = set.decode(series)?;
        let mut last: Option<(i64, Value)> = None;
        loop {
            columns.clear();
            if !data.next_batch(&mut columns)? {
                break;
            }
            let floats = columns.ts.iter().zip(&columns.floats);
            let floats = floats.map(|(ts, value)| (*ts, Value::Float(*value)));
            let histograms = columns
                .histogram_ts
                .iter()
                .zip(columns.histograms.drain(..));
            let histograms = histograms.map(|(ts, value)| (*ts, Value::Histogram(value)));
            for (ts, value) in floats.chain(histograms) {
                if range.contains(ts) && last.as_ref().is_none_or(|(before, _)| *before < ts) {
                    last = Some((ts, value));
                }
            }
        }
        if let Some((ts, value)) = last {
            out.push(Latest { labels, ts, value });
        }
    }
    Ok(())
}

/// Writes a family a metric name. Native histograms have no text form and are left out, as by
/// Prometheus; those with custom buckets become classic ones.
fn write(mut latest: Vec<Latest>) -> Vec<u8> {
    let name = |of: &Latest| of.labels.get(NAME).unwrap_or_default().to_owned();
    latest.sort_by(|a, b| match name(a).cmp(&name(b)) {
        Ordering::Equal => a.labels.cmp(&b.labels),
        other => other,
    });
    // Several selectors may have found one series.
    latest.dedup_by(|a, b| a.labels == b.labels);
    let mut out = String::new();
    let mut family: Option<(String, &str)> = None;
    for sample in &latest {
        let name = name(sample);
        if name.is_empty() {
            continue;
        }
        let kind = match &sample.value {
            Value::Float(_) => "untyped",
            Value::Histogram(histogram) if histogram.custom_values.is_empty() => continue,
            Value::Histogram(_) => "histogram",
        };
        if family
            .as_ref()
            .is_none_or(|(n, k)| *n != name || *k != kind)
        {
            let shown = if is_legacy_name(&name) {
                name.clone()
            } else {
                model::labels::quote(&name)
            };
            out.push_str(&format!("# TYPE {shown} {kind}\n"));
            family = Some((name.clone(), kind));
        }
        match &sample.value {
            Value::Float(value) => line(&mut out, &name, sample, None, *value),
            Value::Histogram(histogram) => classic(&mut out, &name, sample, histogram),
        }
    }
    out.into_bytes()
}

fn classic(out: &mut String, name: &str, sample: &Latest, histogram: &FloatHistogram) {
    let bucket = format!("{name}_bucket");
    let mut counts = model::histogram::bucket_indices(&histogram.positive_spans)
        .zip(&histogram.positive_buckets)
        .peekable();
    let mut total = 0.0;
    for (index, bound) in histogram.custom_values.iter().enumerate() {
        while let Some((_, count)) =
            counts.next_if(|(at, _)| usize::try_from(*at).is_ok_and(|at| at <= index))
        {
            total += count;
        }
        let bound = format_open_metrics(*bound);
        line(out, &bucket, sample, Some(&bound), total);
    }
    line(out, &bucket, sample, Some("+Inf"), histogram.count);
    line(out, &format!("{name}_sum"), sample, None, histogram.sum);
    line(out, &format!("{name}_count"), sample, None, histogram.count);
}

fn line(out: &mut String, name: &str, sample: &Latest, bound: Option<&str>, value: f64) {
    let mut pairs = Vec::new();
    let is_legacy = is_legacy_name(name);
    if !is_legacy {
        pairs.push(model::labels::quote(name));
    }
    let mut has_instance = false;
    for label in sample.labels.iter().filter(|label| label.name != NAME) {
        has_instance |= label.name == "instance";
        let name = if is_legacy_label(label.name) {
            label.name.to_owned()
        } else {
            model::labels::quote(label.name)
        };
        pairs.push(format!("{name}=\"{}\"", escaped(label.value)));
    }
    if !has_instance {
        // Or the scraper would put its own there.
        pairs.push("instance=\"\"".to_owned());
    }
    if let Some(bound) = bound {
        pairs.push(format!("le=\"{bound}\""));
    }
    if is_legacy {
        out.push_str(name);
    }
    let (pairs, value) = (pairs.join(","), format_g(value));
    out.push_str(&format!("{{{pairs}}} {value} {}\n", sample.ts));
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

fn is_legacy_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

fn is_legacy_label(name: &str) -> bool {
    is_legacy_name(name) && !name.contains(':')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::histogram::Span;

    use super::*;

    #[test]
    fn families_have_one_type_line_and_histograms_their_parts() {
        let sample = |pairs: &[(&str, &str)], value| Latest {
            labels: Labels::from_pairs(pairs.iter().copied()),
            ts: 1500,
            value,
        };
        let histogram = FloatHistogram {
            schema: -53,
            count: 6.0,
            sum: 12.5,
            positive_spans: vec![Span {
                offset: 0,
                length: 3,
            }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            custom_values: vec![0.5, 1.0],
            ..FloatHistogram::default()
        };
        let text = write(vec![
            sample(&[("__name__", "up"), ("job", "b\"\\\n")], Value::Float(1e6)),
            sample(
                &[("__name__", "up"), ("instance", "x"), ("job", "a")],
                Value::Float(0.5),
            ),
            sample(&[("__name__", "h")], Value::Histogram(Arc::new(histogram))),
            sample(
                &[("__name__", "native")],
                Value::Histogram(Arc::new(FloatHistogram::default())),
            ),
            sample(
                &[("__name__", "utf8.name"), ("a.b", "c")],
                Value::Float(f64::NAN),
            ),
            sample(&[("job", "nameless")], Value::Float(1.0)),
        ]);
        let expected = "\
# TYPE h histogram
h_bucket{instance=\"\",le=\"0.5\"} 1 1500
h_bucket{instance=\"\",le=\"1.0\"} 3 1500
h_bucket{instance=\"\",le=\"+Inf\"} 6 1500
h_sum{instance=\"\"} 12.5 1500
h_count{instance=\"\"} 6 1500
# TYPE up untyped
up{instance=\"x\",job=\"a\"} 0.5 1500
up{job=\"b\\\"\\\\\\n\",instance=\"\"} 1e+06 1500
# TYPE \"utf8.name\" untyped
{\"utf8.name\",\"a.b\"=\"c\",instance=\"\"} NaN 1500
";
        assert_eq!(String::from_utf8(text).expect("utf-8"), expected);
    }
}
