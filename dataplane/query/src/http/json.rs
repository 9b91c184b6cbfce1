//! The bodies of successful answers, in the shape and number format of Prometheus' API.
//!
//! Results can hold millions of samples, so they are written straight into one buffer and never
//! pass through a tree of values.

use model::Labels;
use promql::value::{QueryResult, SampleValue, SeriesResult, Value, VectorSample};
use serde::Serialize;

use super::coverage::Report;
use super::explain::Analysis;
use super::gojson::{push_json, push_plain_json};
use super::histogram::push_histogram;
use super::number::{push_float, push_timestamp};

/// About what one `[1700000000.123,"0.123456"],` takes.
const BYTES_PER_POINT: usize = 28;
/// About what the labels of one series take.
const BYTES_PER_SERIES: usize = 160;

/// What a request may want beside the result.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) stats: Option<Stats>,
    pub(super) analysis: Option<Analysis>,
    pub(super) coverage: Option<Report>,
}

/// What a query spent, as `data.stats`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Stats {
    pub(super) timings: Timings,
    pub(super) samples: Samples,
}

/// Seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Timings {
    pub(super) eval_total_time: f64,
    pub(super) result_sort_time: f64,
    pub(super) query_preparation_time: f64,
    pub(super) inner_eval_time: f64,
    pub(super) exec_queue_time: f64,
    pub(super) exec_total_time: f64,
}

/// Sample counts.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Samples {
    pub(super) total_queryable_samples: u64,
    pub(super) samples_read: u64,
    pub(super) peak_samples: u64,
}

/// Returns the body of a successful answer whose `data` is a query's result.
pub(super) fn query_body(result: &QueryResult, extras: &Extras) -> Vec<u8> {
    let mut out = Vec::with_capacity(size_hint(&result.value) + 256);
    out.extend_from_slice(b"{\"status\":\"success\",\"data\":{\"resultType\":\"");
    out.extend_from_slice(match result.value {
        Value::Scalar(_) => b"scalar".as_slice(),
        Value::String(_) => b"string",
        Value::Vector(_) => b"vector",
        Value::Matrix(_) => b"matrix",
    });
    out.extend_from_slice(b"\",\"result\":");
    match &result.value {
        // These two pass through Go's general encoder, which formats otherwise than points are.
        Value::Scalar(scalar) => push_json(
            &mut out,
            &(seconds(scalar.ts), promql::number::format_f(scalar.value)),
        ),
        Value::String(string) => push_json(&mut out, &(seconds(string.ts), &string.value)),
        Value::Vector(samples) => push_list(&mut out, samples, push_sample),
        Value::Matrix(series) => push_list(&mut out, series, push_series),
    }
    if let Some(stats) = &extras.stats {
        out.extend_from_slice(b",\"stats\":");
        push_json(&mut out, stats);
    }
    if let Some(analysis) = &extras.analysis {
        out.extend_from_slice(b",\"analysis\":");
        push_json(&mut out, analysis);
    }
    if let Some(coverage) = &extras.coverage {
        out.extend_from_slice(b",\"coverage\":");
        push_json(&mut out, coverage);
    }
    out.push(b'}');
    finish(out, &result.warnings, &result.infos)
}

/// Returns the body of a successful answer with any other `data`.
pub(super) fn body<T: Serialize + ?Sized>(
    data: &T,
    warnings: &[String],
    infos: &[String],
) -> Vec<u8> {
    let mut out = b"{\"status\":\"success\",\"data\":".to_vec();
    push_json(&mut out, data);
    finish(out, warnings, infos)
}

/// Returns the body of a successful answer whose `data` keeps markup characters as they are.
pub(super) fn plain_body<T: Serialize + ?Sized>(data: &T) -> Vec<u8> {
    let mut out = b"{\"status\":\"success\",\"data\":".to_vec();
    push_plain_json(&mut out, data);
    finish(out, &[], &[])
}

fn finish(mut out: Vec<u8>, warnings: &[String], infos: &[String]) -> Vec<u8> {
    for (name, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            push_json(&mut out, texts);
        }
    }
    out.push(b'}');
    out
}

#[expect(clippy::cast_precision_loss, reason = "JSON's numbers are floats")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn size_hint(value: &Value) -> usize {
    match value {
        Value::Scalar(_) => 64,
        Value::String(string) => string.value.len() + 64,
        Value::Vector(samples) => samples.len() * (BYTES_PER_SERIES + BYTES_PER_POINT),
        Value::Matrix(series) => series
            .iter()
            .map(|series| BYTES_PER_SERIES + series.floats.len() * BYTES_PER_POINT)
            .sum(),
    }
}

fn push_list<T>(out: &mut Vec<u8>, items: &[T], push: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push(out, item);
    }
    out.push(b']');
}

fn push_sample(out: &mut Vec<u8>, sample: &VectorSample) {
    push_metric(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            out.extend_from_slice(b",\"value\":");
            push_point(out, sample.ts, *value);
        }
        SampleValue::Histogram(histogram) => {
            out.extend_from_slice(b",\"histogram\":[");
            push_timestamp(out, sample.ts);
            out.push(b',');
            push_histogram(out, histogram);
            out.push(b']');
        }
    }
    out.push(b'}');
}

fn push_series(out: &mut Vec<u8>, series: &SeriesResult) {
    push_metric(out, &series.labels);
    if !series.floats.is_empty() {
        out.extend_from_slice(b",\"values\":");
        push_list(out, &series.floats, |out, (ts, value)| {
            push_point(out, *ts, *value)
        });
    }
    if !series.histograms.is_empty() {
        out.extend_from_slice(b",\"histograms\":");
        push_list(out, &series.histograms, |out, (ts, histogram)| {
            out.push(b'[');
            push_timestamp(out, *ts);
            out.push(b',');
            push_histogram(out, histogram);
            out.push(b']');
        });
    }
    out.push(b'}');
}

fn push_metric(out: &mut Vec<u8>, labels: &Labels) {
    out.extend_from_slice(b"{\"metric\":");
    push_plain_json(out, labels);
}

fn push_point(out: &mut Vec<u8>, ts: i64, value: f64) {
    out.push(b'[');
    push_timestamp(out, ts);
    out.extend_from_slice(b",\"");
    push_float(out, value);
    out.extend_from_slice(b"\"]");
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql::value::{QueryStats, ScalarValue, StringValue};

    fn answer(value: Value) -> QueryResult {
        QueryResult {
            value,
            warnings: Vec::new(),
            infos: Vec::new(),
            stats: QueryStats::default(),
        }
    }

    fn check(result: &QueryResult, expected: &str) {
        let text = String::from_utf8(query_body(result, &Extras::default())).expect("utf-8");
        assert_eq!(text, expected);
        serde_json::from_str::<serde_json::Value>(&text).expect("valid JSON");
    }

    #[test]
    fn every_result_type_has_prometheus_shape() {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a\"b\n")]);
        check(
            &answer(Value::Scalar(ScalarValue {
                ts: 1_500,
                value: f64::INFINITY,
            })),
            r#"{"status":"success","data":{"resultType":"scalar","result":[1.5,"+Inf"]}}"#,
        );
        check(
            &answer(Value::String(StringValue {
                ts: 0,
                value: "x\"y".into(),
            })),
            r#"{"status":"success","data":{"resultType":"string","result":[0,"x\"y"]}}"#,
        );
        check(
            &answer(Value::Vector(vec![VectorSample {
                labels: labels.clone(),
                ts: 1_000,
                value: SampleValue::Float(0.5),
            }])),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a\"b\n"},"value":[1,"0.5"]}]}}"#,
        );
        check(
            &answer(Value::Matrix(vec![SeriesResult {
                labels: Labels::empty(),
                floats: vec![(1_000, 1.0), (2_001, f64::NAN)],
                histograms: Vec::new(),
            }])),
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2.001,"NaN"]]}]}}"#,
        );
        check(
            &answer(Value::Matrix(Vec::new())),
            r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
        );
    }

    #[test]
    fn warnings_and_infos_stand_beside_the_data() {
        let result = QueryResult {
            warnings: vec!["store down".into()],
            infos: vec!["PromQL info: x (1:1)".into()],
            ..answer(Value::Vector(Vec::new()))
        };
        check(
            &result,
            r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["store down"],"infos":["PromQL info: x (1:1)"]}"#,
        );
    }
}
