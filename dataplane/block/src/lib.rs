//! Blocks in a bucket: which there are, which of them count, and how they get in and out.
//!
//! Modules in reading order:
//! - [`layout`]: the names of a block's objects;
//! - [`markers`]: deletion, no-compact and no-downsample marks;
//! - [`fetcher`]: the blocks of a bucket with their `meta.json`;
//! - [`filters`]: which of them a reader should see, as pure functions of metas and time;
//! - [`index_header`]: the local extract of an index from which its postings are planned;
//! - [`transfer`]: upload, download and deletion in the order that keeps readers safe;
//! - [`error`]: what goes wrong.
//!
//! Invariants: a block exists for readers from the moment its `meta.json` is there until it is gone, so
//! that one is written last and removed first; a name from a bucket becomes part of a path only after it
//! parsed as a ULID; a listing that breaks changes nothing.
//!
//! It deliberately knows nothing of queries, of wires, and of what a component does with blocks.

pub mod error;
pub mod fetcher;
pub mod filters;
pub mod index_header;
pub mod layout;
pub mod markers;
pub mod transfer;

pub use error::{BlockError, ErrorKind};
pub use fetcher::{BlockFiles, FetchedBlock, Fetcher, View};
pub use filters::Filters;
pub use index_header::IndexHeader;
pub use model::ulid::BlockId;
