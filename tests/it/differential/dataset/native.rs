//! Native histograms: whole and float counts, exponential and custom buckets, counters and gauges,
//! with resets, gaps, stale markers, layouts that change, observed NaN, and series that change their
//! kind.

use std::collections::BTreeMap;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};
use model::sample::stale_nan;

use super::{Dataset, END_MS, HOUR_MS, MINUTE_MS, Random, START_MS, Series};
use model::Labels;

/// A native histogram as it is stored.
#[derive(Debug, Clone)]
pub(crate) enum Native {
    Whole(Histogram),
    Float(FloatHistogram),
}

/// What a made-up target observes.
#[derive(Debug, Clone)]
struct Shape {
    schema: i32,
    zero_threshold: f64,
    /// Bounds of custom buckets.
    bounds: &'static [f64],
    float: bool,
    gauge: bool,
    /// The lowest and the highest bucket that observations fall into.
    buckets: (i32, i32),
    negative: bool,
    /// Observations a scrape, at most.
    rate: u64,
    /// Scrapes of a thousand before which the target was restarted.
    resets: u64,
}

const EXPONENTIAL: Shape = Shape {
    schema: 2,
    zero_threshold: 0.001,
    bounds: &[],
    float: false,
    gauge: false,
    buckets: (-8, 9),
    negative: false,
    rate: 20,
    resets: 3,
};

/// A histogram that is observed over time.
struct Target {
    shape: Shape,
    random: Random,
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    zero: u64,
    outside: u64,
    sum: f64,
}

impl Target {
    fn new(shape: Shape, random: Random) -> Self {
        Self {
            shape,
            random,
            positive: BTreeMap::new(),
            negative: BTreeMap::new(),
            zero: 0,
            outside: 0,
            sum: 0.0,
        }
    }

    fn reset(&mut self) {
        self.positive.clear();
        self.negative.clear();
        (self.zero, self.outside, self.sum) = (0, 0, 0.0);
    }

    fn observe(&mut self) {
        let (low, high) = self.shape.buckets;
        if self.random.below(1000) < self.shape.resets
            || self.shape.gauge && self.random.below(3) == 0
        {
            self.reset();
        }
        for _ in 0..self.random.below(self.shape.rate) {
            // The middle is hit more often than the edges.
            let index = self.random.between(low.into(), high.into())
                + self.random.between(low.into(), high.into());
            let index = (index / 2) as i32;
            match self.random.below(12) {
                0 if self.shape.bounds.is_empty() => self.zero += 1,
                1 | 2 if self.shape.negative => *self.negative.entry(index).or_default() += 1,
                _ => *self.positive.entry(index).or_default() += 1,
            }
            self.sum += self.random.unit() * 4.0 - if self.shape.negative { 2.0 } else { 0.0 };
        }
    }

    /// An observation of NaN, which is in no bucket.
    fn observe_nan(&mut self) {
        self.outside += 1;
        self.sum = f64::NAN;
    }

    fn scrape(&mut self) -> Native {
        let counted = |buckets: &BTreeMap<i32, u64>| buckets.values().sum::<u64>();
        let (positive_spans, positive_buckets) = layout(&self.positive);
        let (negative_spans, negative_buckets) = layout(&self.negative);
        let custom = !self.shape.bounds.is_empty();
        let whole = Histogram {
            counter_reset_hint: if self.shape.gauge {
                CounterResetHint::Gauge
            } else {
                CounterResetHint::Unknown
            },
            schema: if custom {
                CUSTOM_BUCKETS_SCHEMA
            } else {
                self.shape.schema
            },
            zero_threshold: if custom {
                0.0
            } else {
                self.shape.zero_threshold
            },
            zero_count: self.zero,
            count: counted(&self.positive) + counted(&self.negative) + self.zero + self.outside,
            sum: self.sum,
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.shape.bounds.to_vec(),
        };
        if !self.shape.float {
            return Native::Whole(whole);
        }
        // A third of everything, so that sums round.
        let mut float = whole.to_float();
        let third = |value: &mut f64| *value /= 3.0;
        third(&mut float.count);
        third(&mut float.zero_count);
        float.positive_buckets.iter_mut().for_each(third);
        float.negative_buckets.iter_mut().for_each(third);
        Native::Float(float)
    }

    fn stale(&self) -> Native {
        if self.shape.float {
            Native::Float(FloatHistogram {
                sum: stale_nan(),
                ..FloatHistogram::default()
            })
        } else {
            Native::Whole(Histogram {
                sum: stale_nan(),
                ..Histogram::default()
            })
        }
    }
}

/// Spans, and each bucket's difference to the one before.
fn layout(buckets: &BTreeMap<i32, u64>) -> (Vec<Span>, Vec<i64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut deltas = Vec::new();
    let (mut next, mut last) = (0, 0);
    for (&index, &count) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
        deltas.push(count as i64 - last);
        last = count as i64;
    }
    (spans, deltas)
}

impl Dataset {
    pub(super) fn native_histograms(&mut self) {
        const BOUNDS: &[f64] = &[0.05, 0.25, 0.5, 1.0, 2.5, 10.0];
        const COARSE: &[f64] = &[0.25, 1.0, 10.0];
        const OTHER: &[f64] = &[-1.0, 0.0, 0.5, 3.0];
        for (job, i) in [("api", 0), ("api", 1), ("web", 0), ("web", 1)] {
            let instance = format!("{job}-{i}:8080");
            let id = [("job", job), ("instance", instance.as_str())];
            let exponential = Shape {
                schema: if job == "web" { 1 } else { 2 },
                zero_threshold: if i == 1 { 0.01 } else { 0.001 },
                ..EXPONENTIAL
            };
            self.native("nh_duration_seconds", &id, exponential, 15_000);
            let custom = Shape {
                bounds: if i == 1 { COARSE } else { BOUNDS },
                buckets: (0, if i == 1 { 3 } else { 6 }),
                ..EXPONENTIAL
            };
            self.native("nhcb_latency_seconds", &id, custom, 30_000);
        }
        for i in 0..4 {
            let shape = Shape {
                float: true,
                schema: [0, 3, -1, 5][i],
                zero_threshold: [0.0, 0.5, 1e-9, 2.0][i],
                negative: i % 2 == 0,
                buckets: [(-3, 4), (-12, 20), (-2, 2), (10, 40)][i],
                ..EXPONENTIAL
            };
            self.native("nh_float", &[("i", &i.to_string())], shape, 60_000);
        }
        for (room, i) in [("attic", 0), ("cellar", 1), ("hall", 2)] {
            let shape = Shape {
                gauge: true,
                negative: true,
                float: i == 2,
                ..EXPONENTIAL
            };
            self.native("nh_gauge", &[("room", room)], shape, 30_000);
        }
        self.changing(&[BOUNDS, COARSE, OTHER, &[]]);
        self.of_both_kinds();
        self.observed_nan();
    }

    fn add_native(&mut self, labels: &[(&str, &str)], histograms: Vec<(i64, Native)>) {
        self.add(labels, Vec::new());
        if let Some(series) = self.series.last_mut() {
            series.histograms = histograms;
        }
    }

    fn native(&mut self, name: &str, id: &[(&str, &str)], shape: Shape, step: i64) {
        let times = self.times(step, 10, 20);
        let mut target = Target::new(shape, self.random());
        let mut histograms = Vec::new();
        for (n, t) in times.into_iter().enumerate() {
            target.observe();
            // A target that is away from time to time.
            match n % 400 {
                390 => histograms.push((t, target.stale())),
                391.. => {}
                _ => histograms.push((t, target.scrape())),
            }
        }
        let labels: Vec<(&str, &str)> = [("__name__", name)]
            .into_iter()
            .chain(id.iter().copied())
            .collect();
        self.add_native(&labels, histograms);
    }

    /// Layouts that change while the series goes on.
    fn changing(&mut self, all_bounds: &[&'static [f64]]) {
        let times = self.times(30_000, 5, 0);
        let mut schemas = Target::new(EXPONENTIAL, self.random());
        let histograms = times.iter().enumerate().map(|(n, t)| {
            if n % 90 == 0 {
                schemas.reset();
                schemas.shape.schema = [3, 2, 0, 1, 4][n / 90 % 5];
                schemas.shape.zero_threshold = [0.001, 0.5, 0.1][n / 90 % 3];
            }
            schemas.observe();
            (*t, schemas.scrape())
        });
        let histograms = histograms.collect();
        self.add_native(
            &[("__name__", "nh_changing"), ("what", "schema")],
            histograms,
        );
        let mut bounds = Target::new(EXPONENTIAL, self.random());
        let histograms = times.iter().enumerate().map(|(n, t)| {
            if n % 70 == 0 {
                bounds.reset();
                bounds.shape.bounds = all_bounds[n / 70 % all_bounds.len()];
                bounds.shape.buckets = match bounds.shape.bounds {
                    [] => EXPONENTIAL.buckets,
                    custom => (0, custom.len() as i32),
                };
            }
            bounds.observe();
            (*t, bounds.scrape())
        });
        let histograms = histograms.collect();
        self.add_native(
            &[("__name__", "nh_changing"), ("what", "bounds")],
            histograms,
        );
    }

    /// Series that are floats for an hour and histograms for the next, and a native histogram whose
    /// labels are those of a classic one.
    fn of_both_kinds(&mut self) {
        for (kind, first) in [("float_first", 0), ("histogram_first", 1)] {
            let times = self.times(30_000, 10, 0);
            let mut target = Target::new(EXPONENTIAL, self.random());
            let mut series = Series {
                labels: Labels::from_pairs([("__name__", "mixed"), ("kind", kind)]),
                samples: Vec::new(),
                histograms: Vec::new(),
            };
            for t in times {
                target.observe();
                if (t - START_MS) / (HOUR_MS / 4) % 2 == first {
                    series.samples.push((t, (t / 1000 % 97) as f64));
                } else {
                    series.histograms.push((t, target.scrape()));
                }
            }
            self.series.push(series);
        }
        let times = self.times(MINUTE_MS, 0, 0);
        for (le, share) in [("1", 1.0), ("2", 2.0), ("+Inf", 3.0)] {
            let samples = times
                .iter()
                .filter(|t| **t < END_MS - 2 * HOUR_MS)
                .enumerate()
                .map(|(n, t)| (*t, share * n as f64))
                .collect();
            self.add(&[("__name__", "both_seconds"), ("le", le)], samples);
        }
        let mut target = Target::new(EXPONENTIAL, self.random());
        let late = times.into_iter().filter(|t| *t > START_MS + 2 * HOUR_MS);
        let histograms = late.map(|t| {
            target.observe();
            (t, target.scrape())
        });
        let histograms = histograms.collect();
        self.add_native(&[("__name__", "both_seconds")], histograms);
    }

    fn observed_nan(&mut self) {
        let times = self.times(MINUTE_MS, 0, 0);
        let mut target = Target::new(EXPONENTIAL, self.random());
        let histograms = times.into_iter().enumerate().map(|(n, t)| {
            target.observe();
            if n % 50 == 20 {
                target.observe_nan();
            }
            (t, target.scrape())
        });
        let histograms = histograms.collect();
        self.add_native(&[("__name__", "nh_nan")], histograms);
        let histograms = (0..200)
            .map(|n| {
                (
                    START_MS + n * 3 * MINUTE_MS,
                    Native::Whole(Histogram::default()),
                )
            })
            .collect();
        self.add_native(&[("__name__", "nh_empty")], histograms);
    }
}
