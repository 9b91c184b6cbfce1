//! Room `operator`.
