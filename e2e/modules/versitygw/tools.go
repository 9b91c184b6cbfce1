//go:build tools

// Package tools pins the version of github.com/versity/versitygw/cmd/versitygw that the embedded cluster runs.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
