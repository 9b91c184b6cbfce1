//! Native histograms in test scripts.

use std::collections::BTreeMap;

use model::Labels;
use model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span, bucket_indices,
};

use super::failure::{Result, bail};
use super::{Described, Point, float};

/// Parses what stands between `{{` and `}}`.
pub(crate) fn describe(text: &str) -> Result<Described> {
    let mut value = FloatHistogram::default();
    let mut hint_matters = false;
    let (mut positive, mut negative) = (0, 0);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').ok_or("a field without value")?;
        let (field, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').ok_or("an unclosed list")?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        rest = after.trim_start();
        let number = || float(field).ok_or_else(|| format!("not a number: {field}"));
        let index = || field.parse::<i32>().map_err(|error| error.to_string());
        match name {
            "schema" => value.schema = index()?,
            "count" => value.count = number()?,
            "sum" => value.sum = number()?,
            "z_bucket" => value.zero_count = number()?,
            "z_bucket_w" => value.zero_threshold = number()?,
            "custom_values" => value.custom_values = list(field)?,
            "buckets" => value.positive_buckets = list(field)?,
            "n_buckets" => value.negative_buckets = list(field)?,
            "offset" => positive = index()?,
            "n_offset" => negative = index()?,
            "counter_reset_hint" => {
                hint_matters = true;
                value.counter_reset_hint = match field {
                    "unknown" => CounterResetHint::Unknown,
                    "reset" => CounterResetHint::Reset,
                    "not_reset" => CounterResetHint::NotReset,
                    "gauge" => CounterResetHint::Gauge,
                    other => return bail(format!("unknown hint {other}")),
                };
            }
            other => return bail(format!("unknown field {other}")),
        }
    }
    let spans = |offset, buckets: &[f64]| match u32::try_from(buckets.len()) {
        Ok(length) if length > 0 => vec![Span { offset, length }],
        _ => Vec::new(),
    };
    value.positive_spans = spans(positive, &value.positive_buckets);
    value.negative_spans = spans(negative, &value.negative_buckets);
    Ok(Described {
        value,
        hint_matters,
    })
}

fn list(text: &str) -> Result<Vec<f64>> {
    text.split_whitespace()
        .map(|word| Ok(float(word).ok_or_else(|| format!("not a number: {word}"))?))
        .collect()
}

type Buckets = BTreeMap<i32, f64>;

fn buckets(spans: &[Span], counts: &[f64]) -> Buckets {
    bucket_indices(spans).zip(counts.iter().copied()).collect()
}

/// Spans and counts of buckets by index, the empty ones left out.
pub(crate) fn layout(buckets: &Buckets) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    let filled = buckets.iter().filter(|(_, count)| **count != 0.0);
    let counts = filled.clone().map(|(_, count)| *count).collect();
    for (index, _) in filled {
        match spans.last_mut() {
            Some(last) if *index == next => last.length += 1,
            _ => spans.push(Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
    }
    (spans, counts)
}

/// Returns `a + factor * b`, where both have the same zero bucket and `b` is not coarser.
pub(crate) fn add(a: &FloatHistogram, b: &FloatHistogram, factor: f64) -> FloatHistogram {
    let shift = b.schema - a.schema;
    let sum = |a: Buckets, b: Buckets| {
        let mut sum = a;
        for (index, count) in b {
            let index = ((index - 1) >> shift) + 1;
            *sum.entry(index).or_default() += factor * count;
        }
        layout(&sum)
    };
    let mut result = a.clone();
    result.count += factor * b.count;
    result.sum += factor * b.sum;
    result.zero_count += factor * b.zero_count;
    (result.positive_spans, result.positive_buckets) = sum(
        buckets(&a.positive_spans, &a.positive_buckets),
        buckets(&b.positive_spans, &b.positive_buckets),
    );
    (result.negative_spans, result.negative_buckets) = sum(
        buckets(&a.negative_spans, &a.negative_buckets),
        buckets(&b.negative_spans, &b.negative_buckets),
    );
    use CounterResetHint::{Gauge, Unknown};
    let (ours, theirs) = (a.counter_reset_hint, b.counter_reset_hint);
    if ours != theirs {
        result.counter_reset_hint = if ours == Gauge || theirs == Gauge {
            Gauge
        } else {
            Unknown
        };
    }
    result
}

/// A histogram without empty buckets at the edges of its spans.
pub(crate) fn compacted(h: &FloatHistogram) -> FloatHistogram {
    let mut h = h.clone();
    (h.positive_spans, h.positive_buckets) =
        layout(&buckets(&h.positive_spans, &h.positive_buckets));
    (h.negative_spans, h.negative_buckets) =
        layout(&buckets(&h.negative_spans, &h.negative_buckets));
    h
}

#[derive(Default)]
struct Classic {
    /// Cumulative counts with their bounds.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Returns the classic histograms among `series` as native ones with custom buckets.
pub(crate) fn from_classic(series: &[(Labels, Vec<Point>)]) -> Vec<(Labels, Vec<Point>)> {
    let mut all: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for (labels, points) in series {
        let name = labels.get(model::METRIC_NAME).unwrap_or_default();
        let Some((base, suffix)) = name.rsplit_once('_') else {
            continue;
        };
        let le = labels.get("le").and_then(float_bound);
        if !matches!((suffix, le), ("bucket", Some(_)) | ("count" | "sum", _)) {
            continue;
        }
        let kept = labels
            .iter()
            .map(|label| (label.name, label.value))
            .filter(|(name, _)| *name != "le" && *name != model::METRIC_NAME)
            .chain(std::iter::once((model::METRIC_NAME, base)));
        let histogram = all.entry(Labels::from_pairs(kept)).or_default();
        for (at, point) in points.iter().enumerate() {
            let Point::Float(value) = *point else {
                continue;
            };
            let classic = histogram.entry(at).or_default();
            match (suffix, le) {
                ("bucket", Some(le)) => classic.buckets.push((le, value)),
                ("count", _) => classic.count = Some(value),
                _ => classic.sum = value,
            }
        }
    }
    all.into_iter()
        .map(|(labels, by_time)| {
            let len = by_time.keys().next_back().map_or(0, |last| last + 1);
            let mut points = vec![Point::Omitted; len];
            for (at, classic) in by_time {
                points[at] = Point::Histogram(Box::new(Described {
                    value: native(classic),
                    hint_matters: false,
                }));
            }
            (labels, points)
        })
        .collect()
}

fn float_bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

fn native(mut classic: Classic) -> FloatHistogram {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = classic.buckets.last().copied();
    let count = classic
        .count
        .or_else(|| last.map(|(_, count)| count))
        .unwrap_or_default();
    if last.is_none_or(|(le, _)| le != f64::INFINITY) {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut counts = Buckets::new();
    let mut below = 0.0;
    for (index, (_, cumulative)) in (0..).zip(&classic.buckets) {
        counts.insert(index, cumulative - below);
        below = *cumulative;
    }
    let (positive_spans, positive_buckets) = layout(&counts);
    let bounds = classic.buckets.iter().map(|(le, _)| *le);
    FloatHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: classic.sum,
        custom_values: bounds.filter(|le| le.is_finite()).collect(),
        positive_spans,
        positive_buckets,
        ..FloatHistogram::default()
    }
}
