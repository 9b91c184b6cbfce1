//! Regenerates `src/gen/` from `proto/`: `cargo run -p storeapi --example generate`.

#[path = "../codegen/codegen.rs"]
mod codegen;

fn main() -> anyhow::Result<()> {
    codegen::generate(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen"))
}
