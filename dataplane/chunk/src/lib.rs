//! Room `chunk`.
