package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// runCompact makes one block of several with the levelled compactor and prints its folder.
func runCompact(args []string) error {
	flags := flag.NewFlagSet("compact", flag.ContinueOnError)
	out := flags.String("out", "", "folder of the new block")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("give --out and the blocks' folders, or one folder of blocks")
	}
	var dirs []string
	for _, dir := range flags.Args() {
		found, err := blockDirs(dir)
		if err != nil {
			return err
		}
		dirs = append(dirs, found...)
	}
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	merge := storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)
	compactor, err := tsdb.NewLeveledCompactor(ctx, nil, logger, []int64{1}, chunkenc.NewPool(), merge)
	if err != nil {
		return err
	}
	ids, err := compactor.Compact(*out, dirs, nil)
	if err != nil {
		return err
	}
	for _, id := range ids {
		fmt.Println(filepath.Join(*out, id.String()))
	}
	return nil
}
