//! Prometheus itself takes what is rendered: the configuration, the flags of every golden file and
//! every flag that a stack's author may add.

use std::path::{Path, PathBuf};
use std::process::Command;

use ::operator::controller::validate::args;
use ::operator::render::render;
use ::operator::settings::Settings;
use serde_json::Value;

/// The folder of Prometheus' programs; none where they cannot be built here, which fails where
/// `CI=true`.
fn programs() -> Option<PathBuf> {
    match cluster::build("prometheus") {
        Ok(folder) => Some(folder),
        Err(error) => {
            super::fixture::skip("no Prometheus on this machine", &error);
            None
        }
    }
}

/// Every object of every golden case.
fn objects() -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut objects = Vec::new();
    let entries = |folder: &Path| std::fs::read_dir(folder).expect("folder");
    for entry in entries(&folder).chain(entries(&folder.join("coreos"))) {
        let path = entry.expect("entry").path();
        if path.is_dir() || path.to_string_lossy().ends_with(".golden.yaml") {
            continue;
        }
        let input = std::fs::read_to_string(&path).expect("case");
        let settings = Settings {
            cluster_stacks: ["monitoring".to_owned(), "shop".to_owned()].into(),
            ..Settings::default()
        };
        let output = render(&input, &settings).expect("renders");
        for text in output.split("---\n").filter(|text| text.contains("kind:")) {
            objects.push((path.clone(), serde_saphyr::from_str(text).expect("YAML")));
        }
    }
    objects
}

#[test]
fn promtool_takes_every_rendered_configuration() {
    let Some(programs) = programs() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promtool");
    std::fs::create_dir_all(&folder).expect("folder");
    let mut checked = 0;
    for (path, object) in objects() {
        let Some(template) = object["stringData"]["prometheus.yaml.tmpl"].as_str() else {
            continue;
        };
        let name = path.file_name().expect("name");
        let file = folder.join(name);
        let config = template
            .replace("$(POD_NAME)", "main-prometheus-0")
            .replace("$(SHARD)", "0");
        std::fs::write(&file, config).expect("written");
        let output = Command::new(programs.join("promtool"))
            .args(["check", "config", "--syntax-only"])
            .arg(&file)
            .output()
            .expect("promtool runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {text}", path.display());
        checked += 1;
    }
    assert!(checked >= 4, "only {checked} configurations");
}

#[test]
fn promtool_takes_every_rule_file() {
    let Some(programs) = programs() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promtool-rules");
    std::fs::create_dir_all(&folder).expect("folder");
    let mut checked = 0;
    for (path, object) in objects() {
        let component = &object["metadata"]["labels"]["app.kubernetes.io/component"];
        if object["kind"] != "ConfigMap" || component != "prometheus" {
            continue;
        }
        for (name, text) in object["data"].as_object().expect("files") {
            let file = folder.join(name);
            std::fs::write(&file, text.as_str().expect("text")).expect("written");
            let output = Command::new(programs.join("promtool"))
                .args(["check", "rules"])
                .arg(&file)
                .output()
                .expect("promtool runs");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {text}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 1, "only {checked} rule files");
}

#[test]
fn prometheus_knows_every_flag_it_is_given_or_may_be_given() {
    let Some(programs) = programs() else { return };
    let output = Command::new(programs.join("prometheus"))
        .arg("--help-long")
        .output()
        .expect("it runs");
    let help = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let knows = |flag: &str| {
        let name = flag.strip_prefix("no-").unwrap_or(flag);
        [format!("--{name}"), format!("--[no-]{name}")]
            .iter()
            .any(|form| {
                help.split(form.as_str())
                    .skip(1)
                    .any(|rest| rest.starts_with([' ', '=', '\n', '.']))
            })
    };
    assert!(knows("config.file"), "{help}");
    assert!(!knows("no.such.flag"));
    for flag in args::PROMETHEUS.flags() {
        assert!(knows(flag), "--{flag} of the allow-list");
    }
    let mut checked = 0;
    for (path, object) in objects() {
        let containers = object.pointer("/spec/template/spec/containers");
        for container in containers.and_then(Value::as_array).into_iter().flatten() {
            if container["name"] != "prometheus" {
                continue;
            }
            let args = container["args"].as_array().into_iter().flatten();
            // It parses all flags, those its help hides included, and only then says its version.
            let output = Command::new(programs.join("prometheus"))
                .args(args.filter_map(Value::as_str))
                .arg("--version")
                .output()
                .expect("it runs");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}: {text}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} sets of flags");
}
