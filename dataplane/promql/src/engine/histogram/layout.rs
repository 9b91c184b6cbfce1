//! Spans and buckets: adding up, merging to a coarser schema, leaving out what is empty.

use model::histogram::{FloatHistogram, Span};

use crate::engine::kahan;

use super::bounds::{coarser, exponential, is_exponential};
use super::buckets::counts;

/// One side of a histogram that is written to.
pub(super) struct Side<'a> {
    pub spans: &'a mut Vec<Span>,
    pub buckets: &'a mut Vec<f64>,
    /// What rounding has lost of each bucket, where that is kept.
    pub compensation: Option<&'a mut Vec<f64>>,
}

/// One side of a histogram that is read.
#[derive(Clone, Copy)]
pub(super) struct Other<'a> {
    pub spans: &'a [Span],
    pub buckets: &'a [f64],
    pub compensation: Option<&'a [f64]>,
}

/// Builds spans from ascending indices.
#[derive(Default)]
pub(super) struct SpanBuilder {
    pub spans: Vec<Span>,
    next: i32,
}

impl SpanBuilder {
    pub(super) fn push(&mut self, index: i32) {
        match self.spans.last_mut() {
            Some(last) if index == self.next => last.length += 1,
            _ => self.spans.push(Span {
                offset: index.wrapping_sub(self.next),
                length: 1,
            }),
        }
        self.next = index.wrapping_add(1);
    }
}

/// Adds the buckets of `other`, those below `threshold` left out.
pub(super) fn add(side: &mut Side<'_>, other: Other<'_>, schema: i32, threshold: f64, sign: f64) {
    let skipped = counts(other.spans, other.buckets)
        .take_while(|(index, _)| is_exponential(schema) && exponential(*index, schema) <= threshold)
        .count();
    let compensation_of = |at: usize| {
        other
            .compensation
            .and_then(|values| values.get(at))
            .map_or(0.0, |value| value * sign)
    };
    if side.spans.as_slice() == other.spans && side.buckets.len() == other.buckets.len() {
        for (at, bucket) in other.buckets.iter().enumerate().skip(skipped) {
            let inc = if sign < 0.0 { -bucket } else { *bucket };
            accumulate(side, at, inc, compensation_of(at));
        }
        return;
    }
    insert_missing(side, other, skipped);
    let mut at = 0;
    let ours: Vec<i32> = model::histogram::bucket_indices(side.spans)
        .take(side.buckets.len())
        .collect();
    for (number, (index, bucket)) in counts(other.spans, other.buckets).enumerate().skip(skipped) {
        while at < ours.len() && ours[at] != index {
            at += 1;
        }
        if at == ours.len() {
            return;
        }
        let inc = if sign < 0.0 { -bucket } else { bucket };
        accumulate(side, at, inc, compensation_of(number));
    }
}

fn accumulate(side: &mut Side<'_>, at: usize, inc: f64, compensation: f64) {
    let Some(value) = side.buckets.get_mut(at) else {
        return;
    };
    match side.compensation.as_mut().and_then(|c| c.get_mut(at)) {
        None => *value += inc,
        Some(c) => {
            (*value, *c) = kahan::add(inc, *value, *c);
            if compensation != 0.0 {
                (*value, *c) = kahan::add(compensation, *value, *c);
            }
        }
    }
}

/// Makes room for the buckets of `other` behind the first `skipped` ones.
fn insert_missing(side: &mut Side<'_>, other: Other<'_>, skipped: usize) {
    let mut theirs = counts(other.spans, other.buckets)
        .skip(skipped)
        .map(|(index, _)| index)
        .peekable();
    let mut builder = SpanBuilder::default();
    let mut buckets = Vec::with_capacity(side.buckets.len() + other.buckets.len());
    let mut compensation = Vec::new();
    let mut any = false;
    let mut push = |index: i32, value: f64, lost: f64| {
        builder.push(index);
        buckets.push(value);
        compensation.push(lost);
    };
    for (at, (index, value)) in counts(side.spans, side.buckets).enumerate() {
        while let Some(&before) = theirs.peek().filter(|before| **before < index) {
            // Adding to minus zero keeps the sign of what is added.
            push(before, -0.0, 0.0);
            any = true;
            theirs.next();
        }
        if theirs.peek() == Some(&index) {
            theirs.next();
        }
        let lost = side.compensation.as_ref().and_then(|c| c.get(at).copied());
        push(index, value, lost.unwrap_or(0.0));
    }
    for index in theirs {
        push(index, -0.0, 0.0);
        any = true;
    }
    if !any {
        return;
    }
    *side.spans = builder.spans;
    *side.buckets = buckets;
    if let Some(c) = &mut side.compensation {
        **c = compensation;
    }
}

/// Merges buckets to those of a coarser schema.
pub(super) fn reduce(side: &mut Side<'_>, from: i32, to: i32) {
    let mut builder = SpanBuilder::default();
    let mut buckets: Vec<f64> = Vec::with_capacity(side.buckets.len());
    let mut compensation: Vec<f64> = Vec::new();
    let mut last = None;
    for (at, (index, value)) in counts(side.spans, side.buckets).enumerate() {
        let target = coarser(index, from, to);
        let lost = side
            .compensation
            .as_ref()
            .map(|c| c.get(at).copied().unwrap_or(0.0));
        if last != Some(target) {
            builder.push(target);
            buckets.push(value);
            compensation.push(lost.unwrap_or(0.0));
            last = Some(target);
            continue;
        }
        let (Some(sum), Some(c)) = (buckets.last_mut(), compensation.last_mut()) else {
            continue;
        };
        match lost {
            None => *sum += value,
            Some(lost) => {
                (*sum, *c) = kahan::add(value, *sum, *c);
                (*sum, *c) = kahan::add(lost, *sum, *c);
            }
        }
    }
    *side.spans = builder.spans;
    *side.buckets = buckets;
    if let Some(c) = &mut side.compensation {
        **c = compensation;
    }
}

/// Leaves out buckets that are empty and have lost nothing.
pub(super) fn compact_side(side: &mut Side<'_>) {
    let is_empty = |at: usize, value: f64, c: &Option<&mut Vec<f64>>| {
        value == 0.0
            && c.as_ref()
                .is_none_or(|c| c.get(at).is_none_or(|c| *c == 0.0))
    };
    let has_empty = side
        .buckets
        .iter()
        .enumerate()
        .any(|(at, &value)| is_empty(at, value, &side.compensation));
    let has_seams = side.spans.iter().any(|span| span.length == 0)
        || side.spans.iter().skip(1).any(|span| span.offset == 0);
    if !has_empty && !has_seams {
        return;
    }
    let mut builder = SpanBuilder::default();
    let mut buckets = Vec::with_capacity(side.buckets.len());
    let mut compensation = Vec::new();
    for (at, (index, value)) in counts(side.spans, side.buckets).enumerate() {
        if !is_empty(at, value, &side.compensation) {
            builder.push(index);
            buckets.push(value);
            if let Some(c) = &side.compensation {
                compensation.push(c.get(at).copied().unwrap_or(0.0));
            }
        }
    }
    *side.spans = builder.spans;
    *side.buckets = buckets;
    if let Some(c) = &mut side.compensation {
        **c = compensation;
    }
}

/// Returns the sides of a histogram without compensation.
pub(super) fn sides(h: &mut FloatHistogram) -> [Side<'_>; 2] {
    [
        Side {
            spans: &mut h.positive_spans,
            buckets: &mut h.positive_buckets,
            compensation: None,
        },
        Side {
            spans: &mut h.negative_spans,
            buckets: &mut h.negative_buckets,
            compensation: None,
        },
    ]
}

/// Returns the sides of a histogram for reading.
pub(super) fn others(h: &FloatHistogram) -> [Other<'_>; 2] {
    [
        Other {
            spans: &h.positive_spans,
            buckets: &h.positive_buckets,
            compensation: None,
        },
        Other {
            spans: &h.negative_spans,
            buckets: &h.negative_buckets,
            compensation: None,
        },
    ]
}

/// Leaves out empty buckets and joins adjacent spans.
pub(crate) fn compact(h: &mut FloatHistogram) {
    for mut side in sides(h) {
        compact_side(&mut side);
    }
}

/// Returns a copy at a coarser schema; its counter reset hint is unknown unless the schema is the same.
pub(crate) fn to_schema(h: &FloatHistogram, schema: i32) -> FloatHistogram {
    let mut copy = h.clone();
    if schema < h.schema && is_exponential(schema) && is_exponential(h.schema) {
        for mut side in sides(&mut copy) {
            reduce(&mut side, h.schema, schema);
        }
        copy.schema = schema;
        copy.counter_reset_hint = model::histogram::CounterResetHint::Unknown;
    }
    copy
}
