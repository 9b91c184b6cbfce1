package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	blockRange = int64(2 * 3600 * 1000)
	// 2026-01-01T00:00:00Z, a multiple of every block range.
	defaultStart = int64(1767225600000)
)

// sample is one point of a series; a histogram where h or fh is set.
type sample struct {
	t  int64
	v  float64
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

// series gives its samples in order of time, up to but not including a time, once.
type series struct {
	labels labels.Labels
	ref    storage.SeriesRef
	until  func(end int64, emit func(sample) error) error
}

// stream is what one Prometheus scraped: it becomes one sequence of blocks.
type stream struct {
	// replica is empty where there is only one stream.
	replica string
	series  []*series
}

type dataset struct {
	streams []stream
	hours   int64
}

func runBlocks(args []string) error {
	flags := flag.NewFlagSet("blocks", flag.ContinueOnError)
	out := flags.String("out", "", "folder to write the blocks to")
	name := flags.String("dataset", "dash", "dash, node, ha, diff or nh")
	size := flags.String("size", "S", "S (2 % of the series), M (20 %) or L (all)")
	seed := flags.Uint64("seed", 1, "seed of all random choices")
	start := flags.Int64("start", defaultStart, "first millisecond; a multiple of two hours")
	thanosLabels := flags.String("thanos-labels", "", "external labels k=v,... for a thanos section")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return errors.New("give --out DIR and no other arguments")
	}
	percent, ok := map[string]int{"S": 2, "M": 20, "L": 100}[*size]
	if !ok {
		return fmt.Errorf("size %q is none of S, M, L", *size)
	}
	if *start%blockRange != 0 {
		return fmt.Errorf("start %d is no multiple of %d", *start, blockRange)
	}
	external, err := parseLabels(*thanosLabels)
	if err != nil {
		return err
	}
	make, ok := map[string]func(generator) dataset{
		"dash": dash, "node": node, "ha": ha, "diff": diff, "nh": nativeHistograms,
	}[*name]
	if !ok {
		return fmt.Errorf("dataset %q is none of dash, node, ha, diff, nh", *name)
	}
	if err := os.MkdirAll(*out, 0o777); err != nil {
		return err
	}
	data := make(generator{percent: percent, seed: *seed, start: *start})
	if external == nil {
		data = inOneStream(data)
	}
	for i, s := range data.streams {
		var section map[string]string
		if external != nil {
			section = map[string]string{}
			for k, v := range external {
				section[k] = v
			}
			if s.replica != "" {
				section["replica"] = s.replica
			}
		}
		for from := *start; from < *start+data.hours*3600*1000; from += blockRange {
			id, err := cutBlock(*out, s, from, blockID(*name, *seed, i, from), section)
			if err != nil {
				return fmt.Errorf("block from %d: %w", from, err)
			}
			if id != "" {
				fmt.Println(filepath.Join(*out, id))
			}
		}
	}
	return nil
}

// inOneStream makes the replica a label of the series, as where one server scraped all.
func inOneStream(data dataset) dataset {
	var all []*series
	for _, s := range data.streams {
		for _, one := range s.series {
			if s.replica != "" {
				builder := labels.NewBuilder(one.labels)
				builder.Set("replica", s.replica)
				one.labels = builder.Labels()
			}
			all = append(all, one)
		}
	}
	return dataset{streams: []stream{{series: all}}, hours: data.hours}
}

// cutBlock writes the stream's samples from one time to a block range later.
func cutBlock(out string, s stream, from int64, id ulid.ULID, external map[string]string) (string, error) {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	tmp, err := os.MkdirTemp(out, ".cut-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	writer, err := tsdb.NewBlockWriter(logger, tmp, blockRange)
	if err != nil {
		return "", err
	}
	defer writer.Close()

	samples := 0
	app := writer.Appender(ctx)
	for _, one := range s.series {
		one.ref = 0
	}
	// In order of time over all series: the head refuses what is half a block older than its newest.
	for end := from + scrapeInterval; end <= from+blockRange; end += scrapeInterval {
		for _, one := range s.series {
			err := one.until(end, func(p sample) error {
				if p.t < from {
					return fmt.Errorf("sample at %d of %s is before its block", p.t, one.labels)
				}
				samples++
				var err error
				if p.h != nil || p.fh != nil {
					one.ref, err = app.AppendHistogram(one.ref, one.labels, p.t, p.h, p.fh)
				} else {
					one.ref, err = app.Append(one.ref, one.labels, p.t, p.v)
				}
				return err
			})
			if err != nil {
				return "", err
			}
		}
		if err := app.Commit(); err != nil {
			return "", err
		}
		app = writer.Appender(ctx)
	}
	if err := app.Commit(); err != nil {
		return "", err
	}
	if samples == 0 {
		return "", nil
	}
	written, err := writer.Flush(ctx)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(tmp, written.String())
	if err := rewriteMeta(dir, from, id, external); err != nil {
		return "", err
	}
	final := filepath.Join(out, id.String())
	if err := os.RemoveAll(final); err != nil {
		return "", err
	}
	return id.String(), os.Rename(dir, final)
}

// rewriteMeta gives the block its deterministic name and its full range, as a block that a server
// cut from its head has, and adds the thanos section where there are external labels.
func rewriteMeta(dir string, from int64, id ulid.ULID, external map[string]string) error {
	path := filepath.Join(dir, "meta.json")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var meta tsdb.BlockMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return err
	}
	meta.ULID = id
	meta.MinTime, meta.MaxTime = from, from+blockRange
	meta.Compaction.Sources = []ulid.ULID{id}
	var value any = meta
	if external != nil {
		value = struct {
			tsdb.BlockMeta
			Thanos any `json:"thanos"`
		}{meta, map[string]any{
			"version":    1,
			"labels":     external,
			"downsample": map[string]int{"resolution": 0},
			"source":     "sidecar",
		}}
	}
	data, err = json.MarshalIndent(value, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o666)
}

// blockID depends on nothing but the data set, the seed and the block's place.
func blockID(dataset string, seed uint64, stream int, from int64) ulid.ULID {
	random := generator{seed: seed}.random("block "+dataset, uint64(from)^uint64(stream)<<56)
	var id ulid.ULID
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	binary.BigEndian.PutUint64(id[:8], random.Uint64())
	if err := id.SetTime(uint64(from + blockRange)); err != nil {
		panic(err)
	}
	return id
}

func parseLabels(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	parsed := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%q is not name=value", pair)
		}
		parsed[name] = value
	}
	return parsed, nil
}
