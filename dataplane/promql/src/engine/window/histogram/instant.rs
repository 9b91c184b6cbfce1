//! `irate` and `idelta` where one of the last two samples may be a histogram.

use std::sync::Arc;

use crate::engine::annotate::HistogramOperation::Subtraction;
use crate::engine::histogram::{Incompatible, compact, div, sub};
use crate::engine::window::WindowFunc;
use model::histogram::{CounterResetHint, FloatHistogram};

use super::{Known, Note, Notes, Sample, Window};

/// A sample of either kind; a histogram by its index in the window.
#[derive(Clone, Copy)]
enum Of<'a> {
    Float(f64),
    Histogram(usize, &'a Arc<FloatHistogram>),
}

/// The difference of the last two samples.
pub(super) fn value(
    window: &Window<'_>,
    known: &mut Known<'_>,
    notes: &Notes<'_>,
) -> Option<Sample> {
    let [(before_ts, before), (now_ts, now)] = last_two(window)?;
    let rate = window.spec.func == WindowFunc::Irate;
    let interval = now_ts - before_ts;
    if interval == 0 {
        return None;
    }
    let interval = interval as f64 / 1000.0;
    match (before, now) {
        (Of::Float(before), Of::Float(now)) => {
            let difference = if rate && now < before {
                now
            } else {
                now - before
            };
            Some(Sample::Float(if rate {
                difference / interval
            } else {
                difference
            }))
        }
        (Of::Histogram(_, before), Of::Histogram(at, now)) => {
            let is_gauge = |h: &FloatHistogram| h.counter_reset_hint == CounterResetHint::Gauge;
            if rate && (is_gauge(now) || is_gauge(before)) {
                notes.add(Note::NotCounter);
            }
            if !rate && (!is_gauge(now) || !is_gauge(before)) {
                notes.add(Note::NotGauge);
            }
            let mut result = FloatHistogram::clone(now);
            if !rate || !known.is_reset(window.first + at) {
                match sub(&mut result, before) {
                    Err(Incompatible) => {
                        notes.add(Note::MixedSchemas);
                        return None;
                    }
                    Ok(outcome) if outcome.reconciled => {
                        notes.add(Note::Reconciled(Subtraction));
                    }
                    Ok(_) => {}
                }
            }
            result.counter_reset_hint = CounterResetHint::Gauge;
            compact(&mut result);
            if rate {
                div(&mut result, interval);
            }
            Some(Sample::Histogram(result))
        }
        _ => {
            notes.add(Note::MixedSamples);
            None
        }
    }
}

fn last_two<'a>(window: &Window<'a>) -> Option<[(i64, Of<'a>); 2]> {
    let floats = window.float_ts.iter().zip(window.floats);
    let floats = floats.map(|(ts, value)| (*ts, Of::Float(*value)));
    let histograms = window.ts.iter().zip(window.values).enumerate();
    let histograms = histograms.map(|(at, (ts, value))| (*ts, Of::Histogram(at, value)));
    let mut last: Vec<(i64, Of<'a>)> = floats
        .rev()
        .take(2)
        .chain(histograms.rev().take(2))
        .collect();
    last.sort_by_key(|(ts, _)| *ts);
    match last.as_slice() {
        [.., before, now] => Some([*before, *now]),
        _ => None,
    }
}
