package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
)

// blockDirs are the blocks in a folder, in order of name, or the folder itself if it is one.
func blockDirs(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "meta.json")); err == nil {
		return []string{dir}, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "meta.json"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no block in %s", dir)
	}
	sort.Strings(found)
	for i := range found {
		found[i] = filepath.Dir(found[i])
	}
	return found, nil
}

// eachChunk visits all series of a block in order with their chunks.
func eachChunk(dir string, series func(labels.Labels), visit func(chunks.Meta, chunkenc.Chunk) error) error {
	ir, err := index.NewFileReader(filepath.Join(dir, "index"), index.DecodePostingsRaw)
	if err != nil {
		return err
	}
	defer ir.Close()
	cr, err := chunks.NewDirReader(filepath.Join(dir, "chunks"), nil)
	if err != nil {
		return err
	}
	defer cr.Close()
	name, value := index.AllPostingsKey()
	postings, err := ir.Postings(ctx, name, value)
	if err != nil {
		return err
	}
	var builder labels.ScratchBuilder
	var metas []chunks.Meta
	for postings.Next() {
		if err := ir.Series(postings.At(), &builder, &metas); err != nil {
			return err
		}
		series(builder.Labels())
		for _, meta := range metas {
			chunk, iterable, err := cr.ChunkOrIterable(meta)
			if err != nil {
				return err
			}
			if iterable != nil {
				return errors.New("a block's chunk is iterable only")
			}
			if err := visit(meta, chunk); err != nil {
				return err
			}
		}
	}
	return postings.Err()
}

func runDump(args []string) error {
	if len(args) != 1 {
		return errors.New("give one folder")
	}
	dirs, err := blockDirs(args[0])
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	defer out.Flush()
	for _, dir := range dirs {
		fmt.Fprintf(out, "block %s\n", filepath.Base(dir))
		err := eachChunk(dir, func(set labels.Labels) {
			fmt.Fprint(out, "series")
			set.Range(func(l labels.Label) {
				fmt.Fprintf(out, " %d:%s=%d:%s", len(l.Name), l.Name, len(l.Value), l.Value)
			})
			fmt.Fprintln(out)
		}, func(meta chunks.Meta, chunk chunkenc.Chunk) error {
			fmt.Fprintf(out, "chunk %d %d %d\n", chunk.Encoding(), meta.MinTime, meta.MaxTime)
			return dumpSamples(out, chunk)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return nil
}

func dumpSamples(out *bufio.Writer, chunk chunkenc.Chunk) error {
	it := chunk.Iterator(nil)
	for {
		switch it.Next() {
		case chunkenc.ValNone:
			return it.Err()
		case chunkenc.ValFloat:
			t, v := it.At()
			fmt.Fprintf(out, "%d %016x\n", t, math.Float64bits(v))
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(nil)
			fmt.Fprintf(out, "%d i %d %d %016x %016x", t, h.CounterResetHint, h.Schema,
				math.Float64bits(h.ZeroThreshold), math.Float64bits(h.Sum))
			fmt.Fprintf(out, " %d %d", h.ZeroCount, h.Count)
			dumpLayout(out, h.PositiveSpans, h.NegativeSpans, h.CustomValues)
			fmt.Fprintf(out, " %v %v\n", h.PositiveBuckets, h.NegativeBuckets)
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(nil)
			fmt.Fprintf(out, "%d f %d %d %016x %016x", t, h.CounterResetHint, h.Schema,
				math.Float64bits(h.ZeroThreshold), math.Float64bits(h.Sum))
			fmt.Fprintf(out, " %016x %016x", math.Float64bits(h.ZeroCount), math.Float64bits(h.Count))
			dumpLayout(out, h.PositiveSpans, h.NegativeSpans, h.CustomValues)
			fmt.Fprintf(out, " %s %s\n", bitsOf(h.PositiveBuckets), bitsOf(h.NegativeBuckets))
		}
	}
}

func dumpLayout(out *bufio.Writer, positive, negative []histogram.Span, custom []float64) {
	for _, spans := range [][]histogram.Span{positive, negative} {
		fmt.Fprint(out, " [")
		for i, s := range spans {
			if i > 0 {
				fmt.Fprint(out, " ")
			}
			fmt.Fprintf(out, "%d+%d", s.Offset, s.Length)
		}
		fmt.Fprint(out, "]")
	}
	fmt.Fprintf(out, " %s", bitsOf(custom))
}

func bitsOf(values []float64) string {
	text := "["
	for i, v := range values {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%016x", math.Float64bits(v))
	}
	return text + "]"
}

func runDecodeBench(args []string) error {
	flags := flag.NewFlagSet("decode-bench", flag.ContinueOnError)
	export := flags.String("export", "", "write the chunks to this file, each after its length")
	rounds := flags.Int("rounds", 15, "how often to decode each piece; the fastest counts")
	if len(args) == 0 {
		return errors.New("give a folder")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	dirs, err := blockDirs(args[0])
	if err != nil {
		return err
	}
	var all []chunkenc.Chunk
	bytes := 0
	for _, dir := range dirs {
		err := eachChunk(dir, func(labels.Labels) {}, func(_ chunks.Meta, chunk chunkenc.Chunk) error {
			if chunk.Encoding() == chunkenc.EncXOR {
				// The reader's bytes are a memory map that is closed with it.
				kept := chunkenc.NewXORChunk()
				kept.Reset(append([]byte(nil), chunk.Bytes()...))
				all = append(all, kept)
				bytes += len(chunk.Bytes())
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	if *export != "" {
		var data []byte
		for _, chunk := range all {
			data = binary.BigEndian.AppendUint32(data, uint32(len(chunk.Bytes())))
			data = append(data, chunk.Bytes()...)
		}
		if err := os.WriteFile(*export, data, 0o666); err != nil {
			return err
		}
	}
	// The fastest round of each piece counts, so that what else the machine does is left out.
	const piece = 256
	total := time.Duration(0)
	samples, sum := 0, 0.0
	var it chunkenc.Iterator
	for from := 0; from < len(all); from += piece {
		best := time.Duration(math.MaxInt64)
		decoded := 0
		for range *rounds {
			decoded = 0
			begun := time.Now()
			for _, chunk := range all[from:min(from+piece, len(all))] {
				it = chunk.Iterator(it)
				for it.Next() == chunkenc.ValFloat {
					t, v := it.At()
					sum += float64(t) + v
					decoded++
				}
				if err := it.Err(); err != nil {
					return err
				}
			}
			best = min(best, time.Since(begun))
		}
		samples += decoded
		total += best
	}
	if samples == 0 {
		return errors.New("there are no float chunks")
	}
	fmt.Printf("%.2f ns/sample   %.2f bytes/sample   %d samples   %d chunks   (%g)\n",
		float64(total.Nanoseconds())/float64(samples), float64(bytes)/float64(samples), samples, len(all), sum)
	return nil
}
