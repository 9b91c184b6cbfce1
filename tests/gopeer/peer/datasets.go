package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

const scrapeInterval = int64(15_000)

// generator makes data sets; the same generator makes the same samples.
type generator struct {
	percent int
	seed    uint64
	start   int64
}

func (g generator) share(all int) int {
	return max(1, all*g.percent/100)
}

// random is a source of its own for each purpose, so that adding one does not change the others.
func (g generator) random(purpose string, i uint64) *rand.Rand {
	h := g.seed ^ 0x9e3779b97f4a7c15
	for _, b := range []byte(purpose) {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	return rand.New(rand.NewPCG(h, i))
}

// target is scraped at regular times; all its series share them.
type target struct {
	labels []string
	// phase is where in the interval it is scraped.
	phase    int64
	jittered bool
	id       uint64
	// gaps are times at which nothing was scraped, each from and to.
	gaps [][2]int64
	// skew is added to every timestamp, not to the values.
	skew int64
}

// scrapes calls visit with every scrape's number and time before end, from the tick after the last.
func (t *target) scrapes(g generator, tick *int64, end int64, visit func(tick, at int64) error) error {
	for {
		base := g.start + *tick*scrapeInterval + t.phase + t.skew
		if base >= end {
			return nil
		}
		at := base
		// One small hash a scrape serves jitter and misses, the same for all of the target's series.
		h := mix(g.seed ^ t.id<<32 ^ uint64(*tick))
		if t.jittered {
			at += int64(h % 4)
		}
		missed := h>>8%100 == 0
		for _, gap := range t.gaps {
			missed = missed || gap[0] <= at && at < gap[1]
		}
		if at >= end {
			return nil
		}
		this := *tick
		*tick++
		if missed {
			// The value goes on where it is not seen.
			at = -1
		}
		if err := visit(this, at); err != nil {
			return err
		}
	}
}

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// next gives a series' value at each scrape in turn.
type next func(tick int64) float64

func (g generator) series(t *target, value next, name string, more ...string) *series {
	pairs := append([]string{"__name__", name}, t.labels...)
	s := &series{labels: labels.FromStrings(append(pairs, more...)...)}
	tick := int64(0)
	s.until = func(end int64, emit func(sample) error) error {
		return t.scrapes(g, &tick, end, func(this, at int64) error {
			v := value(this)
			if at < 0 {
				return nil
			}
			return emit(sample{t: at, v: v})
		})
	}
	return s
}

func constant(v float64) next { return func(int64) float64 { return v } }

func busyCounter(r *rand.Rand) next {
	v, rate := float64(r.IntN(100_000)), 1+r.IntN(60)
	return func(int64) float64 {
		v += float64(r.IntN(rate))
		return v
	}
}

// idleCounter moves about every thirtieth scrape.
func idleCounter(r *rand.Rand) next {
	v := float64(r.IntN(1_000))
	return func(int64) float64 {
		if r.IntN(30) == 0 {
			v++
		}
		return v
	}
}

func decimalGauge(r *rand.Rand) next {
	v := r.IntN(10_000)
	return func(int64) float64 {
		// Two scrapes of three see the last value again.
		if r.IntN(3) == 0 {
			v += r.IntN(201) - 100
		}
		return float64(v) / 100
	}
}

func enum(r *rand.Rand) next {
	v := r.IntN(5)
	return func(int64) float64 {
		if r.IntN(60) == 0 {
			v = r.IntN(5)
		}
		return float64(v)
	}
}

func randomDouble(r *rand.Rand) next { return func(int64) float64 { return r.Float64() } }

// classicHistogram gives the cumulative buckets, the sum and the count of one histogram. Each part
// draws the same observations from a source of its own.
func classicHistogram(source func() *rand.Rand, bounds []float64, part func(buckets []float64, sum float64) float64) next {
	r := source()
	buckets := make([]float64, len(bounds)+1)
	sum, rate := 0.0, 1+r.IntN(10)
	return func(int64) float64 {
		for range r.IntN(rate) {
			v := r.ExpFloat64() * 0.2
			sum += v
			for i := range buckets {
				if i == len(bounds) || v <= bounds[i] {
					buckets[i]++
				}
			}
		}
		return part(buckets, sum)
	}
}

// fifty are the fifty series that each pod of `dash` has: 17 busy counters, 7 idle ones, 8 constants,
// 7 gauges, 8 of a classic histogram, 3 random.
func (g generator) fifty(t *target, salt uint64, more ...string) []*series {
	var all []*series
	n := uint64(0)
	add := func(value next, name string, extra ...string) {
		all = append(all, g.series(t, value, name, append(extra, more...)...))
	}
	r := func() *rand.Rand {
		n++
		return g.random("series", t.id<<16|salt<<8|n)
	}
	for i := range 17 {
		add(busyCounter(r()), "c", "handler", fmt.Sprintf("/api/%02d", i))
	}
	for i := range 7 {
		add(idleCounter(r()), "idle_total", "kind", strconv.Itoa(i))
	}
	add(constant(1), "up")
	add(constant(1), "info", "version", "v1."+strconv.FormatUint(t.id%3, 10))
	for i := range 5 {
		add(constant(float64(r().IntN(1000))), "app_"+strconv.Itoa(i))
	}
	add(enum(r()), "enum")
	for i := range 3 {
		add(decimalGauge(r()), "g", "zone", strconv.Itoa(i))
	}
	for i := range 2 {
		add(decimalGauge(r()), "m", "dev", strconv.Itoa(i))
	}
	add(decimalGauge(r()), "a")
	add(decimalGauge(r()), "b")
	bounds := []float64{0.005, 0.05, 0.1, 0.5, 1}
	observations := func() *rand.Rand { return g.random("histogram", t.id<<16|salt) }
	for i := range len(bounds) + 1 {
		le := "+Inf"
		if i < len(bounds) {
			le = strconv.FormatFloat(bounds[i], 'g', -1, 64)
		}
		bucket := func(buckets []float64, _ float64) float64 { return buckets[i] }
		add(classicHistogram(observations, bounds, bucket), "h_bucket", "le", le)
	}
	add(classicHistogram(observations, bounds, func(_ []float64, sum float64) float64 { return sum }), "h_sum")
	add(classicHistogram(observations, bounds, func(buckets []float64, _ float64) float64 { return buckets[len(bounds)] }), "h_count")
	for i := range 3 {
		add(randomDouble(r()), "r", "i", strconv.Itoa(i))
	}
	return all
}

func (g generator) pod(i int) *target {
	h := mix(g.seed ^ uint64(i))
	return &target{
		labels: []string{
			"pod", "p" + strconv.Itoa(i),
			"node", "n" + strconv.Itoa(i%20),
			"job", "j" + strconv.Itoa(i%10),
			"instance", fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250),
		},
		phase:    int64(h % uint64(scrapeInterval-10)),
		jittered: h>>32%10 < 3,
		id:       uint64(i),
	}
}

// dash: 200 pods of 50 series, every 15 s for 24 h.
func dash(g generator) dataset {
	var all []*series
	for i := range g.share(200) {
		all = append(all, g.fifty(g.pod(i), 0)...)
	}
	return dataset{streams: []stream{{series: all}}, hours: 24}
}

// node: 80 targets of 1,250 series, every 15 s for 6 h.
func node(g generator) dataset {
	var all []*series
	for i := range g.share(80) {
		target := g.pod(i)
		for unit := range uint64(25) {
			all = append(all, g.fifty(target, unit, "unit", "u"+strconv.FormatUint(unit, 10))...)
		}
	}
	return dataset{streams: []stream{{series: all}}, hours: 6}
}

// ha: dash scraped by two replicas at different times, each with three gaps of 1 to 20 minutes.
func ha(g generator) dataset {
	var streams []stream
	for n, replica := range []string{"a", "b"} {
		r := g.random("gaps", uint64(n))
		var gaps [][2]int64
		for range 3 {
			from := g.start + r.Int64N(23*3600*1000)
			gaps = append(gaps, [2]int64{from, from + 60_000 + r.Int64N(19*60_000)})
		}
		var all []*series
		for i := range g.share(200) {
			target := g.pod(i)
			target.gaps = gaps
			// Beyond the phase's range, so that no scrape moves into the next block.
			target.phase = target.phase / 2
			target.skew = int64(n) * (scrapeInterval/2 - 20)
			all = append(all, g.fifty(target, 0)...)
		}
		streams = append(streams, stream{replica: replica, series: all})
	}
	return dataset{streams: streams, hours: 24}
}

func staleMarker() float64 { return math.Float64frombits(value.StaleNaN) }
