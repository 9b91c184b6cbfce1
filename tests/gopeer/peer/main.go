// Command gopeer is Prometheus' own storage code behind a command line, for tests and benchmarks:
// it cuts seeded blocks, dumps blocks as text, times its chunk iterator and prints encoded chunks.
package main

import (
	"fmt"
	"os"
)

const usage = `usage:
  gopeer blocks --out DIR [--dataset dash|node|ha|diff|nh] [--size S|M|L] [--seed N] [--start MS]
                [--thanos-labels k=v,...]   cut seeded blocks, print one folder a line
  gopeer dump DIR                           print every series, chunk and sample of the blocks in DIR
  gopeer decode-bench DIR [--export FILE]   time the chunk iterator over all float chunks in DIR
  gopeer compact --out DIR BLOCKS...        make one block of several, print its folder
  gopeer vectors                            print encoded chunks of every kind with their samples
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	commands := map[string]func([]string) error{
		"blocks":       runBlocks,
		"compact":      runCompact,
		"dump":         runDump,
		"decode-bench": runDecodeBench,
		"vectors":      runVectors,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "gopeer: unknown command %q\n%s", os.Args[1], usage)
		os.Exit(2)
	}
	if err := run(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "gopeer %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
