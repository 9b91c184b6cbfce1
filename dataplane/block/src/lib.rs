//! Room `block`.
