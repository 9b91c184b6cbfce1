//! Room `query`.
