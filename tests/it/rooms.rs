//! The rooms and their doors: who may import whom.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each room with the rooms it may import. To change an edge, change ARCHITECTURE.md too.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("chunk", &["model"]),
    ("tsdb", &["model", "chunk"]),
    ("promql", &["model"]),
    ("runtime", &[]),
    ("objconfig", &[]),
    ("storeapi", &["model", "chunk", "runtime"]),
    ("objstore", &["model", "runtime", "objconfig"]),
    ("block", &["model", "chunk", "tsdb", "objstore", "runtime"]),
    (
        "compact",
        &["model", "chunk", "tsdb", "block", "objstore", "runtime"],
    ),
    ("ui", &["runtime"]),
    (
        "query",
        &["model", "chunk", "promql", "storeapi", "runtime", "ui"],
    ),
    ("frontend", &["model", "promql", "runtime"]),
    (
        "store",
        &[
            "model", "chunk", "tsdb", "block", "objstore", "storeapi", "runtime",
        ],
    ),
    (
        "sidecar",
        &[
            "model", "chunk", "tsdb", "block", "objstore", "storeapi", "runtime", "promql",
        ],
    ),
    (
        "tools",
        &[
            "model", "chunk", "tsdb", "promql", "block", "compact", "objstore", "runtime",
        ],
    ),
    (
        "cmd",
        &[
            "tools",
            "model",
            "chunk",
            "tsdb",
            "promql",
            "storeapi",
            "objconfig",
            "objstore",
            "runtime",
            "block",
            "compact",
            "query",
            "frontend",
            "store",
            "sidecar",
            "ui",
        ],
    ),
    ("crds", &[]),
    ("operator", &["crds", "model", "promql", "objconfig"]),
    ("cluster", &[]),
];

/// Packages that may look into every room, since nothing ships with them.
const TEST_PACKAGES: &[&str] = &["hindsight-tests", "e2e"];

/// Foreign crates that only the named packages may use.
const FENCED: &[(&str, &[&str])] = &[
    (
        "kube",
        &["crds", "operator", "cluster", "e2e", "hindsight-tests"],
    ),
    (
        "k8s-openapi",
        &["crds", "operator", "cluster", "e2e", "hindsight-tests"],
    ),
    ("object_store", &["objstore"]),
    (
        "tonic",
        &[
            "storeapi",
            "runtime",
            "query",
            "store",
            "sidecar",
            "cmd",
            "hindsight-tests",
            "e2e",
        ],
    ),
    ("clap", &["cmd", "operator", "cluster", "runtime", "e2e"]),
];

/// Rooms that do no I/O: no async runtime, no network.
const SANS_IO: &[&str] = &["model", "chunk", "tsdb", "promql", "objconfig", "crds"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(vec!["--locked".into(), "--offline".into()])
        .exec()
        .expect("cargo metadata reads the workspace")
}

/// Returns, for each package of the workspace, the names it depends on outside of tests.
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .iter()
        .map(|package| {
            let names = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), names)
        })
        .collect()
}

#[test]
fn rooms_import_only_through_their_doors() {
    let dependencies = dependencies(&metadata());
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut broken = Vec::new();
    for (package, imports) in &dependencies {
        if TEST_PACKAGES.contains(&package.as_str()) {
            continue;
        }
        let Some(allowed) = allowed.get(package.as_str()) else {
            broken.push(format!(
                "{package} is no room: name it and its edges in EDGES"
            ));
            continue;
        };
        for import in imports
            .iter()
            .filter(|import| dependencies.contains_key(*import))
        {
            if !allowed.contains(&import.as_str()) {
                broken.push(format!(
                    "{package} imports {import}, which has no door for it"
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn fenced_crates_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for (package, imports) in dependencies(&metadata()) {
        for (fenced, rooms) in FENCED {
            if imports.contains(*fenced) && !rooms.contains(&package.as_str()) {
                broken.push(format!("{package} uses {fenced}; only {rooms:?} may"));
            }
        }
        if SANS_IO.contains(&package.as_str()) {
            for runtime in ["tokio", "hyper", "axum", "tonic", "reqwest"] {
                if imports.contains(runtime) {
                    broken.push(format!("{package} does no I/O but depends on {runtime}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_named_room_exists() {
    let dependencies = dependencies(&metadata());
    for (room, _) in EDGES {
        assert!(
            dependencies.contains_key(*room),
            "{room} is named in EDGES and is no package"
        );
    }
}
