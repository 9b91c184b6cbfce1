//! Compiles `proto/` into the Rust sources and the descriptor set that are committed in `src/gen/`.
//!
//! Shared by the example that writes them and the test that holds them fresh, so that no build
//! script and no `protoc` is needed to build the workspace.

use std::path::Path;

use anyhow::Context;
use prost::Message;

/// Every proto file, in reading order.
const PROTOS: [&str; 11] = [
    "types.proto",
    "store.proto",
    "info.proto",
    "prompb.proto",
    "rules.proto",
    "targets.proto",
    "metadata.proto",
    "exemplars.proto",
    "status.proto",
    "query.proto",
    "hints.proto",
];

/// The descriptor set that reflection serves.
pub(crate) const DESCRIPTOR_FILE: &str = "descriptor.bin";

/// Writes one Rust file a proto package, and the descriptor set, into `out`.
pub(crate) fn generate(out: &Path) -> anyhow::Result<()> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile(PROTOS, [&protos]).context("compile protos")?;
    std::fs::write(out.join(DESCRIPTOR_FILE), descriptors.encode_to_vec())
        .context("write descriptor set")?;
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        // Decoded straight into the domain's series: see `wire.rs`.
        .extern_path(".thanos.SeriesResponse", "crate::wire::WireFrame")
        .out_dir(out)
        .compile_fds(descriptors)
        .context("generate")
}
