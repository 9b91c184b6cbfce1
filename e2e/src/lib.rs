//! Room `e2e`.
