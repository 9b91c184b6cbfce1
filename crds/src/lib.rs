//! Room `crds`.
