package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

var ctx = context.Background()

// runVectors prints chunks of every encoding: a line `chunk <encoding> <hex>`, then the samples as
// `dump` has them. Where start timestamps are encoded, every third chunk has none.
func runVectors([]string) error {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	print := func(chunk chunkenc.Chunk) error {
		fmt.Fprintf(out, "chunk %d %x\n", chunk.Encoding(), chunk.Bytes())
		return dumpSamples(out, chunk)
	}
	for i := range uint64(12) {
		for _, make := range []func() chunkenc.Chunk{
			func() chunkenc.Chunk { return chunkenc.NewXORChunk() },
			func() chunkenc.Chunk { return chunkenc.NewXOR2Chunk() },
		} {
			chunk := make()
			app, err := chunk.Appender()
			if err != nil {
				return err
			}
			floats(i, func(st, t int64, v float64) { app.Append(st, t, v) })
			if err := print(chunk); err != nil {
				return err
			}
		}
	}
	for kind := range 10 {
		for _, st := range []bool{false, true} {
			if err := histograms(kind, st, print); err != nil {
				return err
			}
		}
	}
	return nil
}

func floats(seed uint64, add func(st, t int64, v float64)) {
	r := rand.New(rand.NewPCG(seed, 7))
	t, v := int64(1_700_000_000_000)-int64(seed)*1e12, 0.0
	st := int64(0)
	for i := range 3 + r.IntN(140) {
		t += 15_000
		switch r.IntN(12) {
		case 0:
			t += r.Int64N(7) - 3
		case 1:
			t += r.Int64N(20_000) - 7_000
		case 2:
			t += r.Int64N(1_000_000)
		case 3:
			t += r.Int64N(1 << 40)
		}
		switch r.IntN(7) {
		case 0:
			v = r.Float64()
		case 1, 2:
			v += float64(r.IntN(100))
		case 3:
			v = math.Float64frombits(r.Uint64())
		}
		if seed%3 > 0 && (i == 0 && seed%2 == 0 || r.IntN(20) == 0) {
			st = t - r.Int64N(100_000)
		}
		if r.IntN(25) == 0 {
			add(st, t, staleMarker())
		} else {
			add(st, t, v)
		}
	}
}

func histograms(kind int, st bool, print func(chunkenc.Chunk) error) error {
	r := rand.New(rand.NewPCG(uint64(kind), 9))
	made := newNative(r, kind)
	new := func() (chunkenc.Chunk, error) { return nil, nil }
	switch {
	case made.float && st:
		new = func() (chunkenc.Chunk, error) { return chunkenc.NewFloatHistogramSTChunk(), nil }
	case made.float:
		new = func() (chunkenc.Chunk, error) { return chunkenc.NewFloatHistogramChunk(), nil }
	case st:
		new = func() (chunkenc.Chunk, error) { return chunkenc.NewHistogramSTChunk(), nil }
	default:
		new = func() (chunkenc.Chunk, error) { return chunkenc.NewHistogramChunk(), nil }
	}
	chunk, err := new()
	if err != nil {
		return err
	}
	app, err := chunk.Appender()
	if err != nil {
		return err
	}
	t, start := int64(1_700_000_000_000), int64(1_699_999_000_000)
	for i := range 24 {
		t += 15_000 + r.Int64N(3)
		if i == 9 || i == 12 {
			start = t - 1000
		}
		s := made.sample(t)
		if r.IntN(15) == 0 {
			s = made.stale(t)
		}
		var cut chunkenc.Chunk
		var recoded bool
		if made.float {
			cut, recoded, app, err = app.AppendFloatHistogram(nil, start, t, s.fh, false)
		} else {
			cut, recoded, app, err = app.AppendHistogram(nil, start, t, s.h, false)
		}
		if err != nil {
			return err
		}
		if cut != nil {
			if !recoded {
				if err := print(chunk); err != nil {
					return err
				}
			}
			chunk = cut
		}
	}
	return print(chunk)
}
