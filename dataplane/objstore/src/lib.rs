//! Buckets: objects by name, read by range, written whole.
//!
//! Modules in reading order:
//! - [`bucket`]: the trait [`Bucket`] and what every implementation promises;
//! - [`conditional`]: versions and conditions of writes that must not undo another's;
//! - [`error`]: what goes wrong, by kind;
//! - [`backend`]: the trait over the `object_store` crate: S3, a folder, memory; [`s3`], `gcs` and `azure`
//!   turn Thanos' settings into clients, over the HTTP client of `client`;
//!   `page_cache` reads at once what of a folder is in memory;
//! - [`prefix`], [`retry`], [`hedged`], [`metered`], [`fault`]: buckets around a bucket; `swap`: one whose
//!   client follows the configuration;
//! - [`connect()`]: from configuration to a bucket ready for use; [`create()`] makes it first;
//! - [`testsuite`]: what any bucket must pass.
//!
//! Invariants: an object is seen whole or not at all; a read answers the bytes asked for, fewer only where
//! the object ends; a listing is complete or an error; nothing is retried that is not the same twice.
//!
//! It deliberately knows nothing of what the objects hold.

mod azure;
pub mod backend;
pub mod bucket;
mod client;
pub mod conditional;
mod connect;
mod create;
pub mod error;
pub mod fault;
mod folder;
mod gcs;
pub mod hedged;
pub mod metered;
mod page_cache;
mod parts;
pub mod prefix;
pub mod retry;
pub mod s3;
mod swap;
pub mod testsuite;

pub use backend::ObjectStoreBucket;
pub use bucket::{Attributes, Bucket, Content, Entry, EntryStream, Listing};
pub use conditional::{Condition, Version};
pub use connect::{ConnectError, connect, connect_reloading};
pub use create::{CreateError, create};
pub use error::{BucketError, ErrorKind, Operation};
pub use swap::{Load, Reload, ReloadError};
