//! Every window function against a model that looks at each window on its own, bit for bit.

use proptest::prelude::*;

use super::*;
use crate::engine::block::has;
use crate::engine::kahan;

/// What Prometheus computes of one window, written as plainly as possible.
fn model(spec: &WindowSpec, step: usize, ts: &[i64], v: &[f64]) -> Option<f64> {
    let n = v.len();
    if n == 0 {
        return None;
    }
    let end = spec.refs.ts(step);
    let start = end - spec.range_ms;
    let fold = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((0.0, 0.0), |(sum, c), value| kahan::add(value, sum, c))
    };
    let regression = |origin: i64| {
        if v[1..].iter().all(|&value| value == v[0]) {
            return if v[0].is_infinite() {
                (f64::NAN, f64::NAN)
            } else {
                (0.0, v[0])
            };
        }
        let x: Vec<f64> = ts.iter().map(|&t| (t - origin) as f64 / 1e3).collect();
        let total = |(sum, c): (f64, f64)| sum + c;
        let sx = total(fold(&mut x.iter().copied()));
        let sy = total(fold(&mut v.iter().copied()));
        let sxy = total(fold(&mut x.iter().zip(v).map(|(x, y)| x * y)));
        let sxx = total(fold(&mut x.iter().map(|x| x * x)));
        let slope = (sxy - sx * sy / n as f64) / (sxx - sx * sx / n as f64);
        (slope, sy / n as f64 - slope * sx / n as f64)
    };
    let quantile = |q: f64, values: &[f64]| {
        if q.is_nan() {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&q) {
            return if q < 0.0 {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            };
        }
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| match (a.is_nan(), b.is_nan()) {
            (true, true) => std::cmp::Ordering::Equal,
            (true, false) => std::cmp::Ordering::Less,
            (false, true) => std::cmp::Ordering::Greater,
            _ => a.total_cmp(b),
        });
        let rank = q * (sorted.len() as f64 - 1.0);
        let low = rank.floor().max(0.0);
        let high = (low + 1.0).min(sorted.len() as f64 - 1.0);
        let weight = rank - rank.floor();
        sorted[low as usize] * (1.0 - weight) + sorted[high as usize] * weight
    };
    let extreme = |replaces: &dyn Fn(f64, f64) -> bool| {
        let mut best = 0;
        for i in 0..n {
            if replaces(v[i], v[best]) || v[best].is_nan() {
                best = i;
            }
        }
        best
    };
    let pairs = |counts: &dyn Fn(f64, f64) -> bool| {
        v.windows(2).filter(|pair| counts(pair[0], pair[1])).count() as f64
    };
    let variance = || {
        let (mut count, mut mean, mut aux) = (0.0, (0.0, 0.0), (0.0, 0.0));
        for &value in v {
            count += 1.0;
            let delta: f64 = value - (mean.0 + mean.1);
            mean = kahan::add(delta / count, mean.0, mean.1);
            aux = kahan::add(delta * (value - (mean.0 + mean.1)), aux.0, aux.1);
        }
        (aux.0 + aux.1) / count
    };
    Some(match spec.func {
        WindowFunc::Rate | WindowFunc::Increase | WindowFunc::Delta => {
            if n < 2 {
                return None;
            }
            let counter = spec.func != WindowFunc::Delta;
            let mut result = v[n - 1] - v[0];
            if counter {
                for pair in v.windows(2) {
                    if pair[1] < pair[0] {
                        result += pair[0];
                    }
                }
            }
            let mut to_start = (ts[0] - start) as f64 / 1000.0;
            let mut to_end = (end - ts[n - 1]) as f64 / 1000.0;
            let sampled = (ts[n - 1] - ts[0]) as f64 / 1000.0;
            let average = sampled / (n - 1) as f64;
            if to_start >= average * 1.1 {
                to_start = average / 2.0;
            }
            if counter && result > 0.0 && v[0] >= 0.0 {
                let to_zero = sampled * (v[0] / result);
                if to_zero < to_start {
                    to_start = to_zero;
                }
            }
            if to_end >= average * 1.1 {
                to_end = average / 2.0;
            }
            let mut factor = (sampled + to_start + to_end) / sampled;
            if spec.func == WindowFunc::Rate {
                factor /= seconds(spec.range_ms);
            }
            result * factor
        }
        WindowFunc::Irate | WindowFunc::Idelta => {
            if n < 2 {
                return None;
            }
            let rate = spec.func == WindowFunc::Irate;
            let (a, b) = (v[n - 2], v[n - 1]);
            let difference = if rate && b < a { b } else { b - a };
            if rate {
                difference / ((ts[n - 1] - ts[n - 2]) as f64 / 1000.0)
            } else {
                difference
            }
        }
        WindowFunc::Changes => pairs(&|a, b| a != b && !(a.is_nan() && b.is_nan())),
        WindowFunc::Resets => pairs(&|a, b| b < a),
        WindowFunc::Deriv => {
            if n < 2 {
                return None;
            }
            regression(ts[0]).0
        }
        WindowFunc::PredictLinear => {
            if n < 2 {
                return None;
            }
            let (slope, intercept) = regression(spec.refs.grid.ts(step));
            slope * spec.param(0, step) + intercept
        }
        WindowFunc::DoubleExponentialSmoothing => {
            if n < 2 {
                return None;
            }
            let (sf, tf) = (spec.param(0, step), spec.param(1, step));
            let (mut s0, mut s1, mut b) = (0.0, v[0], v[1] - v[0]);
            for (i, value) in v.iter().enumerate().skip(1) {
                let x = sf * value;
                b = if i == 1 {
                    b
                } else {
                    tf * (s1 - s0) + (1.0 - tf) * b
                };
                let y = (1.0 - sf) * (s1 + b);
                (s0, s1) = (s1, x + y);
            }
            s1
        }
        WindowFunc::AvgOverTime => {
            let mut mean = kahan::Mean::new(v[0]);
            v[1..].iter().for_each(|&value| mean.push(value));
            mean.value()
        }
        WindowFunc::SumOverTime => {
            let (sum, c) = fold(&mut v.iter().copied());
            if f64::is_infinite(sum) { sum } else { sum + c }
        }
        // Its windows reach beyond the range; it has tests of its own.
        WindowFunc::Xrate | WindowFunc::Xincrease | WindowFunc::Xdelta => return None,
        WindowFunc::CountOverTime => n as f64,
        WindowFunc::PresentOverTime => 1.0,
        WindowFunc::FirstOverTime => v[0],
        WindowFunc::LastOverTime => v[n - 1],
        WindowFunc::TsOfFirstOverTime => ts[0] as f64 / 1000.0,
        WindowFunc::TsOfLastOverTime => ts[n - 1] as f64 / 1000.0,
        WindowFunc::MaxOverTime => v[extreme(&|new, old| new > old)],
        WindowFunc::MinOverTime => v[extreme(&|new, old| new < old)],
        WindowFunc::TsOfMaxOverTime => ts[extreme(&|new, old| new >= old)] as f64 / 1000.0,
        WindowFunc::TsOfMinOverTime => ts[extreme(&|new, old| new <= old)] as f64 / 1000.0,
        WindowFunc::QuantileOverTime => quantile(spec.param(0, step), v),
        WindowFunc::MadOverTime => {
            if v.iter().any(|value| value.is_nan()) {
                return Some(f64::NAN);
            }
            let median = quantile(0.5, v);
            let distances: Vec<f64> = v.iter().map(|value| (value - median).abs()).collect();
            quantile(0.5, &distances)
        }
        WindowFunc::StddevOverTime => variance().sqrt(),
        WindowFunc::StdvarOverTime => variance(),
    })
}

const ALL: [WindowFunc; 26] = [
    WindowFunc::Rate,
    WindowFunc::Increase,
    WindowFunc::Delta,
    WindowFunc::Irate,
    WindowFunc::Idelta,
    WindowFunc::Changes,
    WindowFunc::Resets,
    WindowFunc::Deriv,
    WindowFunc::PredictLinear,
    WindowFunc::DoubleExponentialSmoothing,
    WindowFunc::AvgOverTime,
    WindowFunc::CountOverTime,
    WindowFunc::FirstOverTime,
    WindowFunc::LastOverTime,
    WindowFunc::MadOverTime,
    WindowFunc::MaxOverTime,
    WindowFunc::MinOverTime,
    WindowFunc::PresentOverTime,
    WindowFunc::QuantileOverTime,
    WindowFunc::StddevOverTime,
    WindowFunc::StdvarOverTime,
    WindowFunc::SumOverTime,
    WindowFunc::TsOfFirstOverTime,
    WindowFunc::TsOfLastOverTime,
    WindowFunc::TsOfMaxOverTime,
    WindowFunc::TsOfMinOverTime,
];

/// Values of one kind: what is summed exactly, what is not, and what breaks arithmetic.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let integer = (-20i32..20).prop_map(f64::from);
    let decimal = (-1000i32..1000).prop_map(|value| f64::from(value) / 10.0);
    let any = prop_oneof![
        8 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
        2 => Just(model::stale_nan()),
        2 => Just(-0.0),
        2 => Just(1e308),
    ];
    let len = 0..120usize;
    prop_oneof![
        prop::collection::vec(integer, len.clone()),
        prop::collection::vec(decimal, len.clone()),
        prop::collection::vec(any, len),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_function_is_that_of_each_window_alone(
        values in values(),
        gaps in prop::collection::vec(prop_oneof![6 => Just(10i64), 2 => 1i64..30, 1 => 100i64..400], 120),
        range_ms in 1i64..300,
        step in 1i64..100,
        offset in -50i64..50,
        at in prop::option::weighted(0.1, -100i64..1000),
        q in prop_oneof![8 => 0.0..1.0, 1 => Just(1.5), 1 => Just(f64::NAN)],
    ) {
        let mut ts = Vec::new();
        let mut now = -50;
        for gap in gaps.iter().take(values.len()) {
            now += gap;
            ts.push(now);
        }
        let grid = Grid::new(-100, -100 + 69 * step, step);
        let refs = RefTimes { grid, at, offset };
        let mut scratch = Scratch::default();
        for func in ALL {
            let params = vec![ScalarColumn::Constant(if func == WindowFunc::DoubleExponentialSmoothing { 0.3 } else { q }), ScalarColumn::Constant(0.6)];
            let spec = WindowSpec { func, refs, range_ms, modifier: None, lookback_ms: 300, params, pos: PosRange::default() };
            scratch.columns.clear();
            scratch.columns.ts.extend_from_slice(&ts);
            scratch.columns.floats.extend_from_slice(&values);
            let (mut row, mut present, mut histograms) = (vec![0.0; grid.steps], vec![0u64; grid.words()], HistogramRow::new());
            let mut out = Out { values: &mut row, present: &mut present, histograms: &mut histograms };
            spec.eval("m", &mut scratch, &mut out, &QueryContext::new())
                .expect("no parameter is refused");
            for (i, value) in row.iter().enumerate() {
                let end = refs.ts(i);
                let inside: Vec<(i64, f64)> = ts
                    .iter()
                    .copied()
                    .zip(values.iter().copied())
                    .filter(|&(t, value)| end - range_ms < t && t <= end && !model::is_stale_nan(value))
                    .collect();
                let (wts, wv): (Vec<i64>, Vec<f64>) = inside.into_iter().unzip();
                let expected = model(&spec, i, &wts, &wv);
                let got = has(&present, i).then_some(*value);
                let same = match (expected, got) {
                    (Some(a), Some(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
                    (None, None) => true,
                    _ => false,
                };
                prop_assert!(same, "{func:?} at step {i}: expected {expected:?}, got {got:?} of {wv:?}");
            }
        }
    }
}

#[test]
fn windows_are_open_on_the_left() {
    let refs = RefTimes {
        grid: Grid::new(100, 300, 100),
        at: None,
        offset: 0,
    };
    let (mut lo, mut hi) = (Vec::new(), Vec::new());
    bounds(
        &[0, 50, 100, 200, 201, 299, 300],
        &refs,
        100,
        0,
        &mut lo,
        &mut hi,
    );
    assert_eq!((lo, hi), (vec![1, 3, 4], vec![3, 4, 7]));
}

#[test]
fn a_cursor_finds_its_place_after_gaps() {
    let ts: Vec<i64> = (0..100)
        .map(|i| i * 10)
        .chain((0..100).map(|i| 100_000 + i))
        .collect();
    let mut cursor = Cursor::default();
    for until in [-1, 0, 55, 990, 991, 50_000, 100_001, 100_050, 200_000] {
        assert_eq!(
            cursor.advance(&ts, until),
            ts.partition_point(|&t| t <= until),
            "{until}"
        );
    }
}
