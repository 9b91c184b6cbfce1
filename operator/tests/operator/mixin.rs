//! Alerts and dashboards of `config/mixin`: promtool takes the rules and their tests, and our parser
//! every query of every dashboard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/mixin")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn promtool_takes_the_rules_and_their_tests() {
    let programs = match cluster::build("prometheus") {
        Ok(folder) => folder,
        Err(error) => return super::fixture::skip("no promtool on this machine", &error),
    };
    for (command, folder) in [("check", "rules"), ("test", "tests")] {
        let output = Command::new(programs.join("promtool"))
            .args([command, "rules"])
            .args(files(folder))
            .output()
            .expect("promtool runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{errors}");
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_groups_are_tested() {
    let mut names = BTreeSet::new();
    for path in files("rules") {
        let text = std::fs::read_to_string(&path).expect("rules");
        let rules: Value = serde_saphyr::from_str(&text).expect("YAML");
        for group in rules["groups"].as_array().expect("groups") {
            for rule in group["rules"].as_array().expect("rules") {
                let name = rule["alert"].as_str().expect("an alert").to_owned();
                for key in ["summary", "description"] {
                    assert!(rule["annotations"][key].is_string(), "{name}: {key}");
                }
                assert!(rule["labels"]["severity"].is_string(), "{name}: severity");
                assert!(names.insert(name.clone()), "{name} exists twice");
            }
        }
    }
    assert!(names.len() >= 40, "only {} alerts", names.len());
    let mut tested = BTreeSet::new();
    for path in files("tests") {
        let text = std::fs::read_to_string(&path).expect("tests");
        for line in text.lines() {
            if let Some((_, name)) = line.split_once("alertname: ") {
                tested.insert(name.trim().to_owned());
            }
        }
    }
    assert!(tested.is_subset(&names), "{tested:?}");
    for name in [
        "DeploymentAtZeroReplicas",
        "HPAScalingLimited",
        "HPAAtMaxCapacity",
        "ContainerRestarted",
        "PodHighMemory",
        "PodHighCPU",
        "NodeHighMemory",
        "NodeHighCPU",
        "NodeHighDisk",
        "PrometheusReplicaDown",
    ] {
        assert!(tested.contains(name), "{name} has no test");
    }
}

#[test]
fn every_query_of_every_dashboard_parses() {
    let mut queries = 0;
    for path in files("dashboards") {
        let text = std::fs::read_to_string(&path).expect("dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("query");
                if let Err(error) = promql::parse(query, &promql::ParseOptions::default()) {
                    panic!("{}: {query}: {error}", path.display());
                }
                queries += 1;
            }
        }
    }
    assert!(queries > 40, "only {queries} queries");
}
