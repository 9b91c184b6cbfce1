//! The documents name real files.

use std::path::Path;

#[test]
fn every_file_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = std::fs::read_to_string(root.join(document)).expect("the document is there");
        // Odd pieces stand between backticks.
        for name in text.split('`').skip(1).step_by(2) {
            let is_path =
                name.contains('/') && !name.contains([' ', '<', '*', '$', '{', '\n', ':']);
            let is_file = is_path && !name.starts_with(['/', '.', '~', '-']);
            if is_file && !root.join(name).try_exists().expect("readable") {
                missing.push(format!("{document} names {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
