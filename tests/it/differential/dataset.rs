//! The samples that both sides are asked about: about 250 series over ten hours with everything
//! that makes answers differ. Resets, gaps, stale markers, NaN and infinities, churn, single
//! samples, odd buckets, odd labels, huge and tiny values, and the night a leap day ends.

mod native;

use model::Labels;
use model::sample::stale_nan;

pub(crate) use native::Native;

use super::random::Random;

/// 2024-02-29T18:00:00Z, a multiple of every block range.
pub(crate) const START_MS: i64 = 1_709_229_600_000;
pub(crate) const END_MS: i64 = START_MS + 10 * HOUR_MS;
pub(crate) const BLOCK_MS: i64 = 2 * HOUR_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;
const SEED: u64 = 20_240_229;

type Samples = Vec<(i64, f64)>;

/// A series with its samples in order of time.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) samples: Samples,
    /// Native histograms in order of time, none at the time of a float.
    pub(crate) histograms: Vec<(i64, Native)>,
}

/// Makes all series; always the same.
pub(crate) fn series() -> Vec<Series> {
    let mut dataset = Dataset {
        series: Vec::new(),
        streams: 0,
    };
    dataset.requests();
    dataset.cpu();
    dataset.odd_buckets();
    dataset.rooms();
    dataset.queues();
    dataset.pods();
    dataset.oddities();
    dataset.native_histograms();
    dataset.series
}

struct Dataset {
    series: Vec<Series>,
    streams: u64,
}

impl Dataset {
    fn random(&mut self) -> Random {
        self.streams += 1;
        Random::new(SEED, self.streams)
    }

    fn add(&mut self, labels: &[(&str, &str)], samples: Samples) {
        self.series.push(Series {
            labels: Labels::from_pairs(labels.iter().copied()),
            samples,
            histograms: Vec::new(),
        });
    }

    /// Scrapes every `step`, some of a thousand missed, each late by up to `jitter`.
    fn times(&mut self, step: i64, missed: u64, jitter: i64) -> Vec<i64> {
        let mut random = self.random();
        let phase = random.between(0, step / 2);
        let mut times = Vec::new();
        let mut t = START_MS + phase;
        while t < END_MS - step {
            if random.below(1000) >= missed {
                times.push(
                    t + if jitter > 0 {
                        random.between(0, jitter)
                    } else {
                        0
                    },
                );
            }
            t += step;
        }
        times
    }

    /// A service of two jobs and four instances: counters, gauges, facts and a classic histogram.
    fn requests(&mut self) {
        for job in ["api", "web"] {
            for i in 0..4 {
                let instance = format!("{job}-{i}:8080");
                let times = self.times(15_000, 10, if i % 2 == 1 { 40 } else { 0 });
                let id = [("job", job), ("instance", instance.as_str())];
                for code in ["200", "404", "500"] {
                    let mut samples = self.counter(&times);
                    match i {
                        1 => samples = gap(samples, 100, 107, false),
                        2 => samples = gap(samples, 130, 155, true),
                        3 if code == "500" => samples = gap(samples, 0, 250, false),
                        _ => {}
                    }
                    let labels = [
                        ("__name__", "http_requests_total"),
                        ("code", code),
                        id[0],
                        id[1],
                    ];
                    self.add(&labels, samples);
                }
                let mut random = self.random();
                let up = each(&times, |_| f64::from(random.below(50) != 0));
                self.add(&[("__name__", "up"), id[0], id[1]], up);
                let version = format!("1.{}", i % 3);
                let info = [
                    ("__name__", "build_info"),
                    id[0],
                    id[1],
                    ("version", &version),
                ];
                self.add(&info, each(&times, |_| 1.0));
                let mut random = self.random();
                let mut level = 1e8 + random.below(100_000_000) as f64;
                let memory = each(&times, |_| {
                    level += random.between(-1_000_000, 1_000_000) as f64;
                    level
                });
                let memory = gap(memory, 60 + i * 30, 67 + i * 40, i % 2 == 0);
                self.add(&[("__name__", "memory_bytes"), id[0], id[1]], memory);
                if i < 2 {
                    self.histogram(&times, id);
                }
            }
        }
    }

    fn counter(&mut self, times: &[i64]) -> Samples {
        let mut random = self.random();
        let mut value = random.below(100) as f64;
        let (rate, resets) = (1 + random.below(50), random.below(4));
        each(times, |_| {
            if random.below(times.len() as u64) < resets {
                value = 0.0;
            }
            value += random.below(rate) as f64;
            value
        })
    }

    fn histogram(&mut self, times: &[i64], id: [(&str, &str); 2]) {
        const BOUNDS: [f64; 6] = [0.01, 0.1, 0.25, 1.0, 2.5, 10.0];
        let mut random = self.random();
        let rate = 1 + random.below(20);
        let mut counts = [0.0; BOUNDS.len() + 1];
        let mut sum = 0.0;
        let mut columns = vec![Samples::new(); BOUNDS.len() + 2];
        for &t in times {
            for _ in 0..random.below(rate) {
                let value = -random.unit().max(1e-9).ln() * 0.5;
                sum += value;
                for (i, count) in counts.iter_mut().enumerate() {
                    if BOUNDS.get(i).is_none_or(|bound| value <= *bound) {
                        *count += 1.0;
                    }
                }
            }
            for (column, value) in columns.iter_mut().zip(counts.iter().chain([&sum])) {
                column.push((t, *value));
            }
        }
        let count = columns[BOUNDS.len()].clone();
        for (i, samples) in columns.into_iter().enumerate() {
            let bound = BOUNDS
                .get(i)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            if i <= BOUNDS.len() {
                let name = ("__name__", "request_duration_seconds_bucket");
                self.add(&[name, ("le", &bound), id[0], id[1]], samples);
            } else {
                self.add(
                    &[("__name__", "request_duration_seconds_sum"), id[0], id[1]],
                    samples,
                );
            }
        }
        self.add(
            &[("__name__", "request_duration_seconds_count"), id[0], id[1]],
            count,
        );
    }

    /// Counters with fractions, so that additions round.
    fn cpu(&mut self) {
        for instance in ["api-0:8080", "api-1:8080", "db-0:9100"] {
            for cpu in ["0", "1"] {
                let times = self.times(15_000, 5, 7);
                for mode in ["idle", "iowait", "system", "user"] {
                    let mut random = self.random();
                    let mut value = random.unit() * 1000.0;
                    let samples = each(&times, |_| {
                        value += random.unit() * 3.7;
                        if random.below(2000) == 0 {
                            value = random.unit();
                        }
                        value
                    });
                    let name = ("__name__", "cpu_seconds_total");
                    self.add(
                        &[name, ("cpu", cpu), ("instance", instance), ("mode", mode)],
                        samples,
                    );
                }
            }
        }
    }

    /// Classic histograms that no exposition should have.
    fn odd_buckets(&mut self) {
        let shapes: &[(&str, &[(&str, f64)])] = &[
            ("no_inf", &[("0.1", 3.0), ("1", 7.0), ("10", 9.0)]),
            ("only_inf", &[("+Inf", 5.0)]),
            (
                "falling",
                &[("0.1", 6.0), ("1", 4.0), ("10", 9.0), ("+Inf", 8.0)],
            ),
            (
                "nearly",
                &[("0.1", 4.0), ("1", 3.999_999_999_999_999_6), ("+Inf", 4.0)],
            ),
            (
                "negative",
                &[
                    ("-5", 2.0),
                    ("-1", 4.0),
                    ("0", 5.0),
                    ("2", 8.0),
                    ("+Inf", 9.0),
                ],
            ),
            ("below_zero", &[("-1", 5.0), ("+Inf", 5.0)]),
            ("empty", &[("0.5", 0.0), ("1", 0.0), ("+Inf", 0.0)]),
            ("no_number", &[("abc", 1.0), ("1", 2.0), ("+Inf", 3.0)]),
            (
                "same_bound",
                &[("1", 2.0), ("1.0", 3.0), ("1e0", 1.0), ("+Inf", 7.0)],
            ),
            ("nan", &[("1", f64::NAN), ("2", 3.0), ("+Inf", 4.0)]),
        ];
        for (kind, buckets) in shapes {
            let times = self.times(60_000, 10, 0);
            for (le, count) in *buckets {
                let mut scale = 0.0;
                let samples = each(&times, |_| {
                    scale += 1.0;
                    count * scale
                });
                self.add(
                    &[("__name__", "odd_bucket"), ("kind", kind), ("le", le)],
                    samples,
                );
            }
        }
    }

    /// Gauges with NaN, infinities and negative values.
    fn rooms(&mut self) {
        for (i, room) in ["attic", "cellar", "hall", "kitchen"]
            .into_iter()
            .enumerate()
        {
            let times = self.times(30_000, 20, 0);
            let mut random = self.random();
            let mut value = 20.0;
            let samples = each(&times, |_| {
                value += random.between(-20, 21) as f64 / 100.0;
                match random.below(150) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    2 => f64::NEG_INFINITY,
                    3 => -value,
                    _ => (value * 100.0).round() / 100.0,
                }
            });
            let floor = (i / 2).to_string();
            let labels = [
                ("__name__", "temperature_celsius"),
                ("floor", floor.as_str()),
                ("room", room),
            ];
            self.add(&labels, samples);
        }
        for id in 0..5 {
            let times = self.times(60_000, 5, 0);
            let mut random = self.random();
            let samples = each(&times, |_| random.below(4) as f64);
            self.add(&[("__name__", "state"), ("id", &id.to_string())], samples);
        }
    }

    /// Pairs that share most of their label sets, for matching.
    fn queues(&mut self) {
        for (i, queue) in ["mail", "print", "sms", "video", "audio", "none"]
            .into_iter()
            .enumerate()
        {
            let region = if i % 2 == 0 { "eu" } else { "us" };
            let times = self.times(30_000, 10, 0);
            let mut random = self.random();
            if queue != "none" {
                let samples = each(&times, |_| random.below(500) as f64);
                self.add(
                    &[
                        ("__name__", "queue_length"),
                        ("queue", queue),
                        ("region", region),
                    ],
                    samples,
                );
            }
            if queue != "audio" {
                let samples = each(&times, |_| 100.0 + 100.0 * (i as f64));
                self.add(
                    &[
                        ("__name__", "queue_capacity"),
                        ("queue", queue),
                        ("region", region),
                    ],
                    samples,
                );
            }
        }
        for (region, weight) in [("eu", 0.25), ("us", 4.0)] {
            let times = self.times(60_000, 0, 0);
            let labels = [
                ("__name__", "region_weight"),
                ("continent", "x"),
                ("region", region),
            ];
            self.add(&labels, each(&times, |_| weight));
        }
    }

    /// Pods that follow one another; each ends with a stale marker where the next begins.
    fn pods(&mut self) {
        for i in 0..10 {
            let times = self.times(15_000, 10, 3);
            let mut random = self.random();
            let mut value = 0.0;
            let samples = each(&times, |_| {
                value += random.below(9) as f64;
                value
            });
            let samples = gap(gap(samples, 0, i * 60, false), (i + 1) * 60, 600, true);
            let pod = format!("worker-{i}");
            let namespace = if i % 3 == 0 { "batch" } else { "live" };
            let labels = [
                ("__name__", "restarts_total"),
                ("namespace", namespace),
                ("pod", &pod),
            ];
            self.add(&labels, samples);
        }
    }

    fn oddities(&mut self) {
        for i in 0..3 {
            let times = self.times(7 * MINUTE_MS, 100, 0);
            let mut random = self.random();
            let samples = each(&times, |_| random.unit() - 0.5);
            self.add(&[("__name__", "sparse"), ("i", &i.to_string())], samples);
        }
        self.add(
            &[("__name__", "single")],
            vec![(START_MS + 3 * HOUR_MS + 1, 42.0)],
        );
        let extremes = [
            0.0,
            -0.0,
            1e-300,
            1e300,
            f64::MAX,
            f64::MIN,
            9_007_199_254_740_992.0,
            9_007_199_254_740_994.0,
            0.1,
            1.0 / 3.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let times = self.times(45_000, 0, 0);
        let mut n = 0;
        let samples = each(&times, |_| {
            n += 1;
            extremes[n % extremes.len()]
        });
        self.add(&[("__name__", "extreme")], samples);
        // By themselves, since Go's logarithm of a subnormal number is wrong on amd64.
        let subnormal = [5e-324, -5e-324, 1e-310, f64::MIN_POSITIVE];
        let times = self.times(MINUTE_MS, 0, 0);
        let samples = each(&times, |t| {
            subnormal[(t / MINUTE_MS) as usize % subnormal.len()]
        });
        self.add(&[("__name__", "subnormal")], samples);
        // Sums of these are right only where the additions are compensated.
        let cancelling = [1.0, 1e100, 1.0, -1e100, 1e-10, 3e15, 0.1, -3e15];
        for shift in 0..4 {
            let times = self.times(MINUTE_MS, 0, 0);
            let mut n = shift;
            let samples = each(&times, |_| {
                n += 1;
                cancelling[n % cancelling.len()]
            });
            self.add(
                &[("__name__", "cancelling"), ("shift", &shift.to_string())],
                samples,
            );
        }
        // Exactly on minutes, where windows begin and end.
        let ticks = (0..600)
            .map(|i| (START_MS + i * MINUTE_MS, i as f64))
            .collect();
        self.add(&[("__name__", "tick")], ticks);
        let mut random = self.random();
        let mut irregular = Samples::new();
        let mut t = START_MS + 5;
        while t < END_MS {
            irregular.push((t, random.below(1000) as f64));
            t += random.between(1, MINUTE_MS);
        }
        self.add(&[("__name__", "irregular")], irregular);
        // Goes away and comes back within a step, with and without a marker.
        let flapping = (0..2400).map(|i| {
            let value = if i % 17 == 16 {
                stale_nan()
            } else {
                f64::from(i % 60)
            };
            (START_MS + i64::from(i) * 15_000 + 3, value)
        });
        self.add(
            &[("__name__", "flapping"), ("marker", "yes")],
            flapping.clone().collect(),
        );
        let unmarked = flapping.filter(|(_, value)| !value.is_nan()).collect();
        self.add(&[("__name__", "flapping"), ("marker", "no")], unmarked);
        let times = self.times(MINUTE_MS, 0, 0);
        let odd = each(&times, |t| ((t - START_MS) / MINUTE_MS) as f64);
        self.add(
            &[
                ("__name__", "odd_labels"),
                ("blank", " "),
                ("newline", "x\ny"),
                ("quote", "a\"b\\c"),
                ("unicode", "日本語 é"),
            ],
            odd.clone(),
        );
        self.add(
            &[
                ("__name__", "dotted.name with space"),
                ("a.b", "1"),
                ("c", "2"),
            ],
            odd,
        );
        let mut random = self.random();
        let times = self.times(MINUTE_MS, 0, 0);
        // Times of the year as values, for the functions of dates.
        let dates = each(&times, |_| {
            random.between(-1_000_000_000, 4_000_000_000) as f64
        });
        self.add(&[("__name__", "date_seconds")], dates);
    }
}

fn each(times: &[i64], mut value: impl FnMut(i64) -> f64) -> Samples {
    times.iter().map(|&t| (t, value(t))).collect()
}

/// Leaves out what lies between two minutes after the start; a target that goes away leaves a stale
/// marker in place of its first missing sample.
fn gap(samples: Samples, from: i64, to: i64, marker: bool) -> Samples {
    let (from, to) = (START_MS + from * MINUTE_MS, START_MS + to * MINUTE_MS);
    let mut marked = !marker;
    let mut kept = Samples::new();
    for (t, value) in samples {
        if t < from || to <= t {
            kept.push((t, value));
        } else if !marked {
            marked = true;
            kept.push((t, stale_nan()));
        }
    }
    kept
}
