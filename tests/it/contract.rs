//! What stands between operator and data plane: the arguments that the one renders are ones that the
//! other takes.

use std::path::Path;

use serde_json::Value as Json;

/// The image whose containers run our binary.
const IMAGE: &str = "/hindsight:";

/// Returns the arguments of every container of ours in a rendered stream, with the container's name.
fn arguments(stream: &str) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for document in stream.split("\n---\n") {
        let object: Json = serde_saphyr::from_str(document).expect("a rendered object is YAML");
        let pod = &object["spec"]["template"]["spec"];
        for list in ["initContainers", "containers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                if !container["image"]
                    .as_str()
                    .is_some_and(|image| image.contains(IMAGE))
                {
                    continue;
                }
                assert!(
                    container["command"].is_null(),
                    "manifests set args, never command"
                );
                let args = container["args"].as_array().expect("arguments");
                let args = args
                    .iter()
                    .map(|arg| arg.as_str().expect("a text").to_owned());
                let name = container["name"].as_str().expect("a name").to_owned();
                all.push((name, args.collect()));
            }
        }
    }
    all
}

#[test]
fn the_data_plane_takes_every_argument_the_operator_renders() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/golden");
    let mut seen = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(goldens).expect("the goldens are there") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(".golden.yaml") {
            continue;
        }
        let stream = std::fs::read_to_string(&path).expect("readable");
        for (container, args) in arguments(&stream) {
            let line = std::iter::once("hindsight".to_owned()).chain(args.iter().cloned());
            if let Err(error) = cmd::parse(line) {
                panic!("{}: {container} {args:?}: {error}", path.display());
            }
            seen.insert(container);
        }
    }
    for container in ["sidecar", "querier", "store", "compactor"] {
        assert!(
            seen.contains(container),
            "no golden renders a {container}; there are {seen:?}"
        );
    }
}
