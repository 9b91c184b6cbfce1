//! The committed generated code is what the protos give.

#[path = "../codegen/codegen.rs"]
mod codegen;

#[test]
fn generated_code_is_fresh() {
    let fresh = tempfile::tempdir().expect("temporary folder");
    codegen::generate(fresh.path()).expect("generates");
    let committed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    let names = |folder: &std::path::Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("readable folder")
            .map(|entry| entry.expect("readable entry").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&committed), names(fresh.path()));
    assert!(
        names(&committed)
            .iter()
            .any(|name| name == codegen::DESCRIPTOR_FILE)
    );
    for name in names(&committed) {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(&name)).expect("readable");
        assert!(
            read(&committed) == read(fresh.path()),
            "{name:?} is stale: run `cargo run -p storeapi --example generate`"
        );
    }
}
