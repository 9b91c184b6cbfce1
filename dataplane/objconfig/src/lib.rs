//! The YAML that says where blocks are kept, as Thanos writes it.
//!
//! Modules in reading order:
//! - [`bucket`]: `type`, `config`, `prefix`: [`parse`] and what it gives;
//! - [`s3`], [`http_config`]: the settings of an S3 bucket and of its HTTP client;
//! - [`secret`]: values that are never printed.
//!
//! Invariants: an unknown key is refused by name and position, a value that cannot work is refused here and
//! not at first use, and no secret is ever part of an error or of `Debug`.
//!
//! It deliberately knows no network, no clock and no files: what a path in it holds is read by others.

pub mod bucket;
mod env;
pub mod error;
pub mod http_config;
pub mod s3;
pub mod secret;

pub use bucket::{BucketConfig, FilesystemConfig, Provider, parse};
pub use error::ConfigError;
pub use http_config::{HttpConfig, TlsConfig};
pub use s3::{BucketLookup, S3Config, Sse};
pub use secret::Secret;
