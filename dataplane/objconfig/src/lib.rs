//! Room `objconfig`.
