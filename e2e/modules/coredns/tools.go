//go:build tools

// Package tools pins the version of github.com/coredns/coredns that the embedded cluster runs.
package tools

import _ "github.com/coredns/coredns"
