package main

import (
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
)

// listed makes a series of samples that are all made at once; a diff set is small.
func listed(samples []sample, pairs ...string) *series {
	s := &series{labels: labels.FromStrings(pairs...)}
	at := 0
	s.until = func(end int64, emit func(sample) error) error {
		for ; at < len(samples) && samples[at].t < end; at++ {
			if err := emit(samples[at]); err != nil {
				return err
			}
		}
		return nil
	}
	return s
}

// times are scrapes every step from start for some hours, with the given share of misses in a
// thousand and up to jitter milliseconds added.
func times(r *rand.Rand, start, hours, step int64, missed int, jitter int64) []int64 {
	var all []int64
	phase := r.Int64N(step / 2)
	for t := start + phase; t < start+hours*3600*1000-step; t += step {
		if r.IntN(1000) < missed {
			continue
		}
		at := t
		if jitter > 0 {
			at += r.Int64N(jitter)
		}
		all = append(all, at)
	}
	return all
}

func values(times []int64, f func(i int, t int64) float64) []sample {
	var samples []sample
	for i, t := range times {
		samples = append(samples, sample{t: t, v: f(i, t)})
	}
	return samples
}

// without leaves out what lies between two minutes after start, and marks the series stale there if
// it ends by a target going away.
func without(samples []sample, start, from, to int64, marker bool) []sample {
	from, to = start+from*60_000, start+to*60_000
	var kept []sample
	marked := false
	for _, s := range samples {
		if s.t < from || s.t >= to {
			kept = append(kept, s)
		} else if marker && !marked {
			kept = append(kept, sample{t: s.t, v: staleMarker()})
			marked = true
		}
	}
	return kept
}

// diff: about 150 series over 6 h for comparing answers, with everything that makes answers differ:
// resets, gaps, stale markers, NaN and infinities, churn, single samples, odd labels, huge and tiny
// values. The size makes no difference.
func diff(g generator) dataset {
	const hours = 6
	n := uint64(0)
	random := func() *rand.Rand { n++; return g.random("diff", n) }
	var all []*series
	add := func(samples []sample, pairs ...string) { all = append(all, listed(samples, pairs...)) }

	for _, job := range []string{"api", "web"} {
		for i := range 4 {
			instance := job + "-" + strconv.Itoa(i) + ":8080"
			scraped := times(random(), g.start, hours, 15_000, 10, int64(i%2*4))
			for _, code := range []string{"200", "404", "500"} {
				r := random()
				v, rate := float64(r.IntN(100)), 1+r.IntN(50)
				resets := r.IntN(4)
				counter := values(scraped, func(int, int64) float64 {
					if r.IntN(len(scraped)) < resets {
						v = 0
					}
					v += float64(r.IntN(rate))
					return v
				})
				switch {
				case i == 1:
					counter = without(counter, g.start, 100, 107, false)
				case i == 2:
					counter = without(counter, g.start, 130, 155, true)
				case i == 3 && code == "500":
					counter = without(counter, g.start, 0, 250, false)
				}
				add(counter, "__name__", "http_requests_total", "job", job, "instance", instance, "code", code)
			}
			r := random()
			add(values(scraped, func(int, int64) float64 {
				if r.IntN(50) == 0 {
					return 0
				}
				return 1
			}), "__name__", "up", "job", job, "instance", instance)
			version := "1." + strconv.Itoa(i%3)
			add(values(scraped, func(int, int64) float64 { return 1 }),
				"__name__", "build_info", "job", job, "instance", instance, "version", version)
			r = random()
			level := 1e8 + float64(r.IntN(1e8))
			add(without(values(scraped, func(int, int64) float64 {
				level += float64(r.IntN(2e6) - 1e6)
				return level
			}), g.start, 60+int64(i)*30, 67+int64(i)*40, i%2 == 0),
				"__name__", "memory_bytes", "job", job, "instance", instance)
			addHistogram(&all, random, scraped, job, instance)
		}
	}

	for i, room := range []string{"attic", "cellar", "hall", "kitchen"} {
		r := random()
		v := 20.0
		add(values(times(random(), g.start, hours, 30_000, 20, 0), func(int, int64) float64 {
			v += float64(r.IntN(41)-20) / 100
			switch r.IntN(150) {
			case 0:
				return math.NaN()
			case 1:
				return math.Inf(1)
			case 2:
				return math.Inf(-1)
			case 3:
				return -v
			}
			return math.Round(v*100) / 100
		}), "__name__", "temperature_celsius", "room", room, "floor", strconv.Itoa(i/2))
	}
	for i := range 5 {
		r := random()
		add(values(times(random(), g.start, hours, 60_000, 5, 0), func(int, int64) float64 {
			return float64(r.IntN(4))
		}), "__name__", "state", "id", strconv.Itoa(i))
	}
	// Pods that follow one another: each ends with a stale marker where the next begins.
	for i := range int64(6) {
		r := random()
		v := 0.0
		pod := values(times(random(), g.start, hours, 15_000, 10, 3), func(int, int64) float64 {
			v += float64(r.IntN(9))
			return v
		})
		pod = without(pod, g.start, 0, i*60, false)
		add(without(pod, g.start, (i+1)*60, hours*60, true),
			"__name__", "restarts_total", "pod", "worker-"+strconv.FormatInt(i, 10))
	}
	for i := range 3 {
		r := random()
		add(values(times(random(), g.start, hours, 7*60_000, 100, 0), func(int, int64) float64 {
			return r.NormFloat64()
		}), "__name__", "sparse", "i", strconv.Itoa(i))
	}
	add([]sample{{t: g.start + 3*3600_000 + 1, v: 42}}, "__name__", "single")
	extremes := []float64{0, math.Copysign(0, -1), 5e-324, 1e-300, 1e300, math.MaxFloat64, -math.MaxFloat64, 1 << 53, 1<<53 + 2, 0.1, 1.0 / 3}
	add(values(times(random(), g.start, hours, 45_000, 0, 0), func(i int, _ int64) float64 {
		return extremes[i%len(extremes)]
	}), "__name__", "extreme")
	r := random()
	var irregular []sample
	for t := g.start + 5; t < g.start+hours*3600_000; t += 1 + r.Int64N(60_000) {
		irregular = append(irregular, sample{t: t, v: float64(r.IntN(1000))})
	}
	add(irregular, "__name__", "irregular")
	add(values(times(random(), g.start, hours, 60_000, 0, 0), func(i int, _ int64) float64 { return float64(i) }),
		"__name__", "odd_labels", "quote", `a"b\c`, "newline", "x\ny", "unicode", "日本語 é", "empty_looking", " ")
	return dataset{streams: []stream{{series: all}}, hours: hours}
}

func addHistogram(all *[]*series, random func() *rand.Rand, scraped []int64, job, instance string) {
	bounds := []float64{0.01, 0.1, 0.25, 1, 2.5}
	r := random()
	rate := 1 + r.IntN(20)
	counts := make([]float64, len(bounds)+1)
	sum := 0.0
	parts := make([][]sample, len(bounds)+3)
	for _, t := range scraped {
		for range r.IntN(rate) {
			v := r.ExpFloat64() * 0.5
			sum += v
			for i := range counts {
				if i == len(bounds) || v <= bounds[i] {
					counts[i]++
				}
			}
		}
		for i, count := range counts {
			parts[i] = append(parts[i], sample{t: t, v: count})
		}
		parts[len(bounds)+1] = append(parts[len(bounds)+1], sample{t: t, v: sum})
		parts[len(bounds)+2] = append(parts[len(bounds)+2], sample{t: t, v: counts[len(bounds)]})
	}
	name := "request_duration_seconds"
	for i := range counts {
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		*all = append(*all, listed(parts[i], "__name__", name+"_bucket", "job", job, "instance", instance, "le", le))
	}
	*all = append(*all,
		listed(parts[len(bounds)+1], "__name__", name+"_sum", "job", job, "instance", instance),
		listed(parts[len(bounds)+2], "__name__", name+"_count", "job", job, "instance", instance))
}

// nativeHistograms: 500 series of about 25 buckets whose layout changes, every 15 s for 6 h; every
// third is a float histogram, every seventh has custom buckets, every fifth is a gauge.
func nativeHistograms(g generator) dataset {
	const hours = 6
	var all []*series
	for i := range g.share(500) {
		r := g.random("nh", uint64(i))
		var samples []sample
		made := newNative(r, i)
		scraped := times(r, g.start, hours, 15_000, 10, 2)
		for _, t := range scraped {
			if r.IntN(400) == 0 {
				samples = append(samples, made.stale(t))
			} else {
				samples = append(samples, made.sample(t))
			}
		}
		all = append(all, listed(samples, "__name__", "nh", "i", strconv.Itoa(i), "job", "j"+strconv.Itoa(i%3)))
	}
	return dataset{streams: []stream{{series: all}}, hours: hours}
}

// native is a native histogram that is observed over time.
type native struct {
	r         *rand.Rand
	float     bool
	custom    bool
	gauge     bool
	positive  map[int]int64
	negative  map[int]int64
	zero, all uint64
	sum       float64
}

func newNative(r *rand.Rand, kind int) *native {
	return &native{
		r: r, float: kind%3 == 1, custom: kind%7 == 3, gauge: kind%5 == 4,
		positive: map[int]int64{}, negative: map[int]int64{},
	}
}

func (n *native) stale(t int64) sample {
	if n.float {
		return sample{t: t, fh: &histogram.FloatHistogram{Sum: staleMarker()}}
	}
	return sample{t: t, h: &histogram.Histogram{Sum: staleMarker()}}
}

func (n *native) sample(t int64) sample {
	if n.r.IntN(300) == 0 || n.gauge && n.r.IntN(10) == 0 {
		clear(n.positive)
		clear(n.negative)
		n.zero, n.all, n.sum = 0, 0, 0
	}
	for range n.r.IntN(30) {
		n.all++
		switch {
		case n.custom:
			n.positive[n.r.IntN(6)]++
		case n.r.IntN(10) == 0:
			n.zero++
		case n.r.IntN(8) == 0:
			n.negative[n.r.IntN(6)-3]++
		default:
			n.positive[int(n.r.NormFloat64()*5)]++
		}
		n.sum += n.r.NormFloat64()
	}
	h := &histogram.Histogram{Count: n.all, Sum: n.sum, Schema: 2, ZeroThreshold: 0.001, ZeroCount: n.zero}
	if n.custom {
		h.Schema, h.ZeroThreshold = histogram.CustomBucketsSchema, 0
		h.CustomValues = []float64{0.005, 0.5, 1, 2.5, 1e9}
	}
	if n.gauge {
		h.CounterResetHint = histogram.GaugeType
	}
	h.PositiveSpans, h.PositiveBuckets = sparse(n.positive)
	h.NegativeSpans, h.NegativeBuckets = sparse(n.negative)
	if n.float {
		return sample{t: t, fh: h.ToFloat(nil)}
	}
	return sample{t: t, h: h}
}

func sparse(buckets map[int]int64) ([]histogram.Span, []int64) {
	var spans []histogram.Span
	var deltas []int64
	next, last := 0, int64(0)
	for i := -64; i <= 64; i++ {
		count, ok := buckets[i]
		if !ok {
			continue
		}
		if len(spans) == 0 || i != next {
			spans = append(spans, histogram.Span{Offset: int32(i - next)})
		}
		spans[len(spans)-1].Length++
		deltas = append(deltas, count-last)
		last, next = count, i+1
	}
	return spans, deltas
}
