//! The store gateway: the blocks of a bucket as a store.
//!
//! Modules in reading order:
//! - [`config`]: what it is told;
//! - [`component`]: bound, built, run;
//! - [`sync`]: which blocks there are, again and again; [`catalog`]: which of them answer a request;
//!   [`blocks`]: one block and its index-header;
//! - [`bucket_store`]: the StoreAPI over the catalog;
//! - [`reader`]: from matchers to series of one block: postings, series entries, chunks, order;
//! - [`cache`] as [`cache_config`] says, [`limits`], [`metrics`]: what is kept, what is allowed, what is
//!   told;
//! - [`http`]: the blocks as JSON; [`status`]: the component as JSON, with the [`duplicates`] in the
//!   bucket.
//!
//! Main path of a request: catalog chooses blocks, each block becomes a stream that plans its postings on
//! the index-header, reads series entries and chunks by coalesced ranges, and yields series in label order
//! with external labels; the streams are merged.
//!
//! Invariants: chunk bytes are passed through undecoded and only after their checksum was verified; a
//! block that cannot be read becomes a warning that names it, the others are answered; bytes are counted
//! against the limits before they are fetched.
//!
//! It deliberately knows no PromQL and never writes to the bucket.

pub mod blocks;
pub mod bucket_store;
pub mod cache;
pub mod cache_config;
pub mod catalog;
pub mod component;
pub mod config;
pub mod duplicates;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod reader;
pub mod status;
pub mod sync;

pub use bucket_store::BucketStore;
pub use cache_config::IndexCacheConfig;
pub use component::{Gateway, StartError};
pub use config::{Config, ReadConfig, SyncConfig};
pub use limits::SeriesLimits;
