//! Block identifiers.
