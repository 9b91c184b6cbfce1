use super::*;

const MINIMAL: &str = "apiVersion: hindsight.dev/v1alpha1\nkind: MonitoringStack\nmetadata:\n  name: demo\nspec: {}\n";

#[test]
fn an_unknown_key_is_refused_by_its_path() {
    let input = MINIMAL.replace("spec: {}", "spec:\n  prometheus:\n    replica: 3");
    let error = render(&input, &Settings::default()).expect_err("unknown key");
    assert_eq!(
        error.to_string(),
        "spec.prometheus.replica: unknown field; see `kubectl explain mstack.spec`"
    );
}

#[test]
fn a_missing_secret_is_named() {
    let input = MINIMAL.replace(
        "spec: {}",
        "spec:\n  externalLabels: {cluster: a}\n  objectStorage:\n    secretRef: {name: bucket}",
    );
    let error = render(&input, &Settings::default()).expect_err("no Secret");
    assert_eq!(
        error.to_string(),
        "spec.objectStorage.secretRef: Secret \"bucket\" does not exist in this namespace; create it with key \"thanos.yaml\""
    );
}

#[test]
fn input_without_a_stack_is_refused() {
    let error = render("# nothing\n---\n", &Settings::default()).expect_err("empty");
    assert_eq!(error.to_string(), "no MonitoringStack in the input");
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let settings = Settings::default();
    let first = render(MINIMAL, &settings).expect("renders");
    assert_eq!(first, render(MINIMAL, &settings).expect("renders"));
}

/// `operator/golden/<case>.yaml` renders to `<case>.golden.yaml`; `UPDATE_GOLDEN=1` rewrites the
/// latter, and the diff is the review. A case says `# cluster-stacks: <ns>,...` in its first line
/// where it needs the administrator's leave.
#[test]
fn golden_cases_render_as_recorded() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases = 0;
    for (path, input) in cases_in(&folder) {
        cases += 1;
        let output = render(&input, &settings_of(&input)).unwrap_or_else(|error| {
            panic!("{}: {error}", path.display());
        });
        let golden = path.with_extension("golden.yaml");
        if update {
            std::fs::write(&golden, &output).expect("golden file is written");
        }
        let recorded = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(
            output == recorded,
            "{} is stale; run UPDATE_GOLDEN=1 cargo test -p operator golden and review the diff",
            golden.display()
        );
    }
    assert!(cases >= 4, "only {cases} golden cases");
}

#[test]
fn every_sample_renders() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples");
    let samples = cases_in(&folder);
    assert!(samples.len() >= 2);
    for (path, input) in samples {
        if let Err(error) = render(&input, &Settings::default()) {
            panic!("{}: {error}", path.display());
        }
    }
}

/// No field of any object is misspelt: each survives its way through the Kubernetes type.
#[test]
fn every_golden_object_fits_its_kubernetes_type() {
    use k8s_openapi::api::{
        apps::v1 as apps, autoscaling::v2 as autoscaling, core::v1 as core,
        networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
    };
    fn again<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> Value {
        let typed: T = serde_json::from_value(object.clone()).expect("fits the type");
        serde_json::to_value(typed).expect("JSON")
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut objects = 0;
    for (path, input) in cases_in(&folder) {
        let output = render(&input, &settings_of(&input)).expect("renders");
        for text in split(&output) {
            let object: Value = serde_saphyr::from_str(&text).expect("YAML");
            let kind = object["kind"].as_str().expect("kind");
            let read = match kind {
                "ServiceAccount" => again::<core::ServiceAccount>(&object),
                "ClusterRoleBinding" => again::<rbac::ClusterRoleBinding>(&object),
                "RoleBinding" => again::<rbac::RoleBinding>(&object),
                "Service" => again::<core::Service>(&object),
                "Secret" => again::<core::Secret>(&object),
                "ConfigMap" => again::<core::ConfigMap>(&object),
                "PodDisruptionBudget" => again::<policy::PodDisruptionBudget>(&object),
                "StatefulSet" => again::<apps::StatefulSet>(&object),
                "Deployment" => again::<apps::Deployment>(&object),
                "DaemonSet" => again::<apps::DaemonSet>(&object),
                "Ingress" => again::<networking::Ingress>(&object),
                "NetworkPolicy" => again::<networking::NetworkPolicy>(&object),
                "HorizontalPodAutoscaler" => again::<autoscaling::HorizontalPodAutoscaler>(&object),
                other => panic!("unexpected kind {other}"),
            };
            assert_eq!(read, object, "{}: {kind}", path.display());
            objects += 1;
        }
    }
    assert!(objects > 40, "only {objects} objects");
}

fn cases_in(folder: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.ends_with(".yaml") && !name.ends_with(".golden.yaml")
        })
        .collect();
    cases.sort();
    cases
        .into_iter()
        .map(|path| {
            let input = std::fs::read_to_string(&path).expect("case");
            (path, input)
        })
        .collect()
}

fn settings_of(input: &str) -> Settings {
    let first = input.lines().next().unwrap_or_default();
    let namespaces = first.strip_prefix("# cluster-stacks: ").unwrap_or_default();
    Settings {
        cluster_stacks: namespaces
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
        ..Settings::default()
    }
}

/// What is installed is what the types say; `UPDATE_GOLDEN=1` rewrites it.
#[test]
fn the_installed_definition_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/crd/hindsight.dev_monitoringstacks.yaml");
    let definition = definitions().expect("definition");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &definition).expect("definition is written");
    }
    let installed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        installed == definition,
        "{} is stale; run hindsight-operator crds > it",
        path.display()
    );
}
