//! The YAML that says where blocks are kept, as Thanos writes it.
//!
//! Modules in reading order:
//! - [`bucket`]: `type`, `config`, `prefix`: [`parse`] and what it gives;
//! - [`s3`], [`gcs`], [`azure`]: the settings of each service; `s3_compatible` turns those of services
//!   that speak S3 under another name into S3's; [`http_config`]: their HTTP client;
//! - [`secret`]: values that are never printed.
//!
//! Invariants: an unknown key is refused by name and position, a value that cannot work is refused here and
//! not at first use, and no secret is ever part of an error or of `Debug`.
//!
//! It deliberately knows no network, no clock and no files: what a path in it holds is read by others.

pub mod azure;
pub mod bucket;
mod env;
pub mod error;
pub mod gcs;
pub mod http_config;
pub mod s3;
mod s3_compatible;
pub mod secret;

pub use azure::{AzureConfig, AzureCredentials, AzureRetry};
pub use bucket::{BucketConfig, FilesystemConfig, HedgingConfig, Provider, parse};
pub use error::ConfigError;
pub use gcs::GcsConfig;
pub use http_config::{HttpConfig, TlsConfig};
pub use s3::{BucketLookup, S3Config, Sse};
pub use secret::Secret;
