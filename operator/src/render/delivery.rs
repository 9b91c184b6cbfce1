//! What ships beside the binaries is made of what they are made of: each file here is what the types
//! and the manifests say, and `UPDATE_GOLDEN=1` rewrites it.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Manifests of the whole installation, in the order in which they work.
const INSTALLED: [&str; 9] = [
    "manager/namespace.yaml",
    "crd/hindsight.dev_monitoringstacks.yaml",
    "rbac/service_account.yaml",
    "rbac/operator_roles.yaml",
    "rbac/prometheus_roles.yaml",
    "rbac/exporter_roles.yaml",
    "rbac/user_roles.yaml",
    "rbac/bindings.yaml",
    "manager/deployment.yaml",
];

fn config(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config")
        .join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(config(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn assert_fresh(path: &str, wanted: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(config(path), wanted).expect("written");
    }
    let found = std::fs::read_to_string(config(path)).unwrap_or_default();
    assert!(
        found == wanted,
        "{path} is stale; run UPDATE_GOLDEN=1 cargo test -p operator delivery and review the diff"
    );
}

fn joined(files: &[&str]) -> String {
    let mut text = String::new();
    for file in files {
        let part = read(file);
        if !part.starts_with("---\n") {
            text.push_str("---\n");
        }
        text.push_str(&part);
    }
    text
}

#[test]
fn one_file_installs_everything() {
    assert_fresh("install.yaml", &joined(&INSTALLED));
}

#[test]
fn the_file_that_installs_everything_holds_what_kustomize_does() {
    let mut listed = Vec::new();
    for folder in ["crd", "rbac", "manager"] {
        let kustomization: Value =
            serde_saphyr::from_str(&read(&format!("{folder}/kustomization.yaml"))).expect("YAML");
        for file in kustomization["resources"].as_array().expect("resources") {
            listed.push(format!("{folder}/{}", file.as_str().expect("a path")));
        }
    }
    listed.sort();
    let mut installed = INSTALLED.map(str::to_owned).to_vec();
    installed.sort();
    assert_eq!(installed, listed);
}

#[test]
fn the_chart_installs_the_same_definition_and_roles() {
    let definition = read("crd/hindsight.dev_monitoringstacks.yaml");
    assert!(!definition.contains("{{"), "Helm would read it as its own");
    // Kept when the release goes: with it all stacks would go.
    let kept = definition.replacen(
        "metadata:\n  name: ",
        "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name: ",
        1,
    );
    assert_ne!(kept, definition);
    assert_fresh(
        "chart/templates/crds.yaml",
        &format!("{{{{- if .Values.crds.install }}}}\n{kept}{{{{- end }}}}\n"),
    );
    let roles = joined(&[
        "rbac/operator_roles.yaml",
        "rbac/prometheus_roles.yaml",
        "rbac/exporter_roles.yaml",
        "rbac/user_roles.yaml",
    ]);
    assert_fresh(
        "chart/templates/roles.yaml",
        &roles.replace("hindsight-system", "{{ .Release.Namespace }}"),
    );
}

#[test]
fn argo_cd_gets_the_script_that_stands_beside() {
    let config_map: Value = serde_saphyr::from_str(&read("argocd/argocd-cm.yaml")).expect("YAML");
    let script =
        &config_map["data"]["resource.customizations.health.hindsight.dev_MonitoringStack"];
    assert_eq!(script.as_str(), Some(read("argocd/health.lua").as_str()));
}

#[test]
fn the_reference_tells_of_every_field() {
    let definition = crds::document::monitoring_stack().expect("definition");
    let definition = serde_json::to_value(definition).expect("JSON");
    let schema = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties")
        .expect("schema");
    let mut text = String::from(
        "# MonitoringStack, hindsight.dev/v1alpha1\n\n\
         Generated from the types, as `kubectl explain mstack --recursive` shows them. Fields of \
         Kubernetes' own types are not repeated.\n\n",
    );
    for part in ["spec", "status"] {
        text.push_str(&format!(
            "## {part}\n\n| field | type | default | meaning |\n|---|---|---|---|\n"
        ));
        describe(&schema[part], part, &mut text);
        text.push('\n');
    }
    assert!(text.lines().count() > 150, "{text}");
    assert_fresh("crd/reference.md", &text);
}

fn describe(schema: &Value, path: &str, text: &mut String) {
    const CORE_TYPES: [&str; 3] = ["affinity", "tolerations", "topologySpreadConstraints"];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let kind = field["type"].as_str().unwrap_or("any");
        let kind = match field["items"]["type"].as_str() {
            Some(items) => format!("[]{items}"),
            None => kind.to_owned(),
        };
        // A section's default repeats those of its fields.
        let default = match &field["default"] {
            Value::Null | Value::Object(_) => String::new(),
            value => format!("`{value}`"),
        };
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        text.push_str(&format!(
            "| `{path}` | {kind} | {default} | {} |\n",
            cell(field["description"].as_str().unwrap_or_default())
        ));
        if !CORE_TYPES.contains(&name.as_str()) {
            describe(field, &path, text);
            describe(&field["items"], &format!("{path}[]"), text);
        }
    }
}
