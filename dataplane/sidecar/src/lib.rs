//! Room `sidecar`.
