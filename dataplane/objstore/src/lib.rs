//! Room `objstore`.
