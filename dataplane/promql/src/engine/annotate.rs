//! Prometheus' texts for what the engine finds remarkable.

use crate::annotations::{Annotation, Monotonicity};
use crate::ast::PosRange;
use crate::number::format_g;

use super::histogram::NanNote;

pub(super) fn invalid_quantile(q: f64, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "quantile value should be between 0 and 1, got {}",
            format_g(q)
        ),
        pos,
    )
}

pub(super) fn invalid_ratio(ratio: f64, cap: f64, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "ratio value should be between -1 and 1, got {}, capping to {}",
            format_g(ratio),
            format_g(cap)
        ),
        pos,
    )
}

pub(super) fn bad_bucket_label(metric: &str, value: &str, pos: PosRange) -> Annotation {
    let message = format!(
        "bucket label \"le\" is missing or has a malformed value of {}",
        model::labels::quote(value)
    );
    Annotation::warning(with_metric(message, metric), pos)
}

pub(super) fn sort_in_range_query(pos: PosRange) -> Annotation {
    Annotation::warning(
        "sort is ineffective for range queries since results are always ordered by labels",
        pos,
    )
}

pub(super) fn possible_non_counter(metric: &str, pos: PosRange) -> Annotation {
    Annotation::info(
        format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn forced_monotonicity(
    metric: &str,
    pos: PosRange,
    monotonicity: Monotonicity,
) -> Annotation {
    let message = "input to histogram_quantile needed to be fixed for monotonicity \
                   (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    Annotation {
        monotonicity: Some(monotonicity),
        ..Annotation::info(with_metric(message.to_owned(), metric), pos)
    }
}

fn with_metric(message: String, metric: &str) -> String {
    if metric.is_empty() {
        message
    } else {
        format!("{message} for metric name {}", model::labels::quote(metric))
    }
}

pub(super) fn incompatible_types(
    lhs: &str,
    op: crate::ast::BinaryOp,
    rhs: &str,
    pos: PosRange,
) -> Annotation {
    Annotation::info(
        format!(
            "incompatible sample types encountered for binary operator \"{op}\": {lhs} {op} {rhs}"
        ),
        pos,
    )
}

pub(super) fn ignored_in_aggregation(op: crate::ast::AggregateOp, pos: PosRange) -> Annotation {
    Annotation::info(format!("ignored histogram in {op} aggregation"), pos)
}

/// What is done with several histograms, as annotations call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

pub(super) fn conflicting_resets(operation: HistogramOperation, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "conflicting counter resets during histogram {}",
            operation.name()
        ),
        pos,
    )
}

pub(super) fn reconciled_buckets(operation: HistogramOperation, pos: PosRange) -> Annotation {
    Annotation::info(
        format!(
            "mismatched custom buckets were reconciled during {}",
            operation.name()
        ),
        pos,
    )
}

pub(super) fn incompatible_layouts(op: crate::ast::BinaryOp, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!("incompatible bucket layout encountered for binary operator {op}"),
        pos,
    )
}

pub(super) fn mixed_schemas(metric: &str, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "vector contains a mix of histograms with exponential and custom buckets schemas for \
             metric name {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn mixed_samples(metric: &str, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "encountered a mix of histograms and floats for metric name {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn mixed_samples_in_aggregation(pos: PosRange) -> Annotation {
    Annotation::warning(
        "encountered a mix of histograms and floats for aggregation",
        pos,
    )
}

pub(super) fn ignored_in_mixed_range(metric: &str, pos: PosRange) -> Annotation {
    Annotation::info(
        format!(
            "ignored histograms in a range containing both floats and histograms for metric name {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn not_a_counter(metric: &str, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "this native histogram metric is not a counter: {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn not_a_gauge(metric: &str, pos: PosRange) -> Annotation {
    Annotation::warning(
        format!(
            "this native histogram metric is not a gauge: {}",
            model::labels::quote(metric)
        ),
        pos,
    )
}

pub(super) fn mixed_classic_and_native(metric: &str, pos: PosRange) -> Annotation {
    let message = "vector contains a mix of classic and native histograms".to_owned();
    Annotation::warning(with_metric(message, metric), pos)
}

pub(super) fn observed_nan(note: NanNote, metric: &str, pos: PosRange) -> Annotation {
    let message = match note {
        NanNote::Result => "input to histogram_quantile has NaN observations, result is NaN",
        NanNote::Skew => {
            "input to histogram_quantile has NaN observations, result is skewed higher"
        }
        NanNote::Excluded => {
            "input to histogram_fraction has NaN observations, which are excluded from all \
             fractions"
        }
    };
    Annotation::info(with_metric(message.to_owned(), metric), pos)
}
