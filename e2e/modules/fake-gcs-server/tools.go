//go:build tools

// Package tools pins the version of github.com/fsouza/fake-gcs-server that the tests talk to as GCS.
package tools

import _ "github.com/fsouza/fake-gcs-server"
