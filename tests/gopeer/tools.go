//go:build tools

// Package gopeer pins the Prometheus that the tests compare with. The two
// commands below are built straight from that module.
package gopeer

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
