//! The generated messages and services, one module a proto package.
//!
//! Regenerate with `cargo run -p storeapi --example generate`; a test holds them fresh.
#![allow(
    clippy::all,
    clippy::clone_on_ref_ptr,
    unreachable_pub,
    missing_docs,
    rustdoc::invalid_html_tags,
    reason = "generated code answers to its generator"
)]

pub mod thanos {
    include!("gen/thanos.rs");

    pub mod info {
        include!("gen/thanos.info.rs");
    }
}

pub mod prometheus_copy {
    include!("gen/prometheus_copy.rs");
}

pub mod hintspb {
    include!("gen/hintspb.rs");
}

/// The encoded `FileDescriptorSet` of all packages, for reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");
