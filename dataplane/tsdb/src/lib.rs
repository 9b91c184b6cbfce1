//! Prometheus' block format: bytes in, values out, and back.
//!
//! Read in this order:
//! - [`meta`]: `meta.json`, a block's description,
//! - [`index`]: which series a block has, their labels and chunks,
//! - [`postings`]: lists of series and the set algebra over them,
//! - [`segment`]: the files that chunks lie in,
//! - [`tombstones`]: deleted ranges,
//! - [`block`]: all of these together, reading and writing.
//!
//! Invariants: nothing here does I/O, so that the same code reads a local file, a memory map and
//! ranges fetched from a bucket. Every part that has a checksum is verified before it is believed. A
//! decoder never panics, never reads outside its input and never allocates by a number it read alone;
//! it answers [`Corrupt`]. What is written is byte for byte what Prometheus writes for the same input.
//!
//! Deliberately unknown: buckets and their layout, downsampling, queries.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod block;
mod cursor;
mod error;
pub mod index;
pub mod meta;
pub mod postings;
pub mod segment;
pub mod tombstones;

pub use cursor::CRC_BYTES;
pub use error::{Corrupt, WriteError};
