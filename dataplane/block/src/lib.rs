//! Blocks in a bucket.

mod upload;

pub use upload::{UploadError, upload};
