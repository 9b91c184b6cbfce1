//go:build tools

// Package tools pins the version of github.com/rancher/local-path-provisioner that the embedded cluster runs.
package tools

import _ "github.com/rancher/local-path-provisioner"
