use serde_json::{Value, json};

use super::*;
use crate::controller::dereference::References;
use crate::controller::validate::validate;
use crate::settings::Settings;

fn desired(spec: &Value, cluster_stacks: &[&str]) -> Desired {
    let resource: crds::MonitoringStack = serde_json::from_value(json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": "demo", "namespace": "ns", "uid": "u" },
        "spec": spec,
    }))
    .expect("fits the type");
    let settings = Settings {
        cluster_stacks: cluster_stacks.iter().map(|&name| name.to_owned()).collect(),
        ..Settings::default()
    };
    let stack = validate(&resource, &References::default(), &settings).expect("valid");
    build(&stack, &Minted::placeholders())
}

fn everything() -> Value {
    json!({
        "externalLabels": { "cluster": "c" },
        "objectStorage": { "embedded": {} },
        "alertmanager": { "enabled": true },
        "grafana": { "enabled": true },
        "kubeStateMetrics": { "enabled": true },
        "nodeExporter": { "enabled": true },
    })
}

fn find<'a>(desired: &'a Desired, kind: Kind, name: &str) -> &'a Value {
    let found = desired
        .objects
        .iter()
        .find(|object| object.kind == kind && object.name == name);
    &found.unwrap_or_else(|| panic!("no {kind:?} {name}")).body
}

fn args<'a>(desired: &'a Desired, pointer: &str) -> Vec<&'a str> {
    let set = find(desired, Kind::StatefulSet, "demo-prometheus");
    let args = set
        .pointer(pointer)
        .and_then(Value::as_array)
        .expect("args");
    args.iter().filter_map(Value::as_str).collect()
}

const PROMETHEUS_ARGS: &str = "/spec/template/spec/containers/0/args";

#[test]
fn objects_are_in_order_of_application_and_unique() {
    let desired = desired(
        &json!({ "externalLabels": { "cluster": "c" }, "objectStorage": { "embedded": {} } }),
        &["ns"],
    );
    let keys: Vec<_> = desired
        .objects
        .iter()
        .map(|object| (object.kind, &object.name))
        .collect();
    let mut sorted = keys.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(keys, sorted);
}

#[test]
fn nothing_of_the_store_exists_without_object_storage() {
    let desired = desired(&json!({}), &[]);
    assert!(
        desired
            .objects
            .iter()
            .all(|object| !object.name.contains("store") || object.name == "demo-storeapi")
    );
    assert!(
        args(&desired, PROMETHEUS_ARGS)
            .iter()
            .all(|arg| !arg.contains("block-duration"))
    );
}

#[test]
fn compaction_waits_for_uploads_by_the_means_the_version_has() {
    let spec = |version: &str, duration: Option<&str>| {
        json!({
            "externalLabels": { "cluster": "c" },
            "objectStorage": { "embedded": {} },
            "prometheus": { "version": version },
            "sidecar": { "blockDuration": duration },
        })
    };
    let delay = "--storage.tsdb.delay-compact-file.path=/prometheus/thanos.shipper.json";
    for (version, duration, expected) in [
        ("v3.15.0", None, vec![delay]),
        (
            "v3.8.0",
            None,
            vec![
                "--storage.tsdb.min-block-duration=2h",
                "--storage.tsdb.max-block-duration=2h",
            ],
        ),
        (
            "v3.15.0",
            Some("2m"),
            vec![
                "--storage.tsdb.min-block-duration=2m",
                "--storage.tsdb.max-block-duration=2m",
            ],
        ),
    ] {
        let desired = desired(&spec(version, duration), &[]);
        let found: Vec<_> = args(&desired, PROMETHEUS_ARGS)
            .into_iter()
            .filter(|arg| arg.contains("block-duration") || arg.contains("delay-compact"))
            .collect();
        assert_eq!(found, expected, "{version} {duration:?}");
    }
}

#[test]
fn only_an_allowed_namespace_reaches_beyond_itself() {
    let limited = desired(&json!({}), &["other"]);
    assert!(!limited.has_cluster_scoped());
    let template = stored_template(&limited);
    for job in ["kubelet", "cadvisor", "apiserver"] {
        assert!(!template.contains(&format!("job_name: {job}\n")), "{job}");
    }
    let allowed = desired(&json!({}), &["ns"]);
    assert!(allowed.has_cluster_scoped());
    assert!(stored_template(&allowed).contains("job_name: kubelet\n"));
}

#[test]
fn nothing_ever_asks_for_the_nodes_proxy() {
    let template = stored_template(&desired(&json!({}), &["ns"]));
    assert!(!template.contains("/proxy"), "{template}");
}

#[test]
fn every_pod_fits_the_restricted_profile_but_the_one_that_measures_nodes() {
    let desired = desired(&everything(), &["ns"]);
    let mut containers = 0;
    for object in &desired.objects {
        let Some(pod) = object.body.pointer("/spec/template/spec") else {
            continue;
        };
        let measures_nodes = object.name == "demo-node-exporter";
        assert_eq!(pod.get("hostPID").is_some(), measures_nodes);
        assert_eq!(pod.get("hostNetwork").is_some(), measures_nodes);
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            assert_eq!(volume.get("hostPath").is_some(), measures_nodes);
        }
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for list in ["containers", "initContainers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["readOnlyRootFilesystem"], true);
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
                assert!(container.get("command").is_none());
                containers += 1;
            }
        }
    }
    assert_eq!(containers, 12);
}

#[test]
fn the_hash_is_that_of_the_stored_template() {
    let desired = desired(&json!({}), &[]);
    assert_eq!(
        desired.config_hash,
        prometheus_config::hash(&stored_template(&desired))
    );
}

fn stored_template(desired: &Desired) -> String {
    use base64::Engine as _;
    let secret = find(desired, Kind::Secret, "demo-prometheus");
    let text = secret["data"][prometheus_config::TEMPLATE_KEY]
        .as_str()
        .expect("template");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("base64");
    String::from_utf8(bytes).expect("UTF-8")
}

/// Who reaches which port of a component: its policy's rules as `port: peer`, one line each.
fn openings(desired: &Desired, name: &str) -> Vec<String> {
    let policy = find(desired, Kind::NetworkPolicy, name);
    let mut lines = Vec::new();
    for rule in policy["spec"]["ingress"].as_array().expect("rules") {
        for port in rule["ports"].as_array().expect("ports") {
            for peer in rule["from"].as_array().expect("peers") {
                let labels = &peer["podSelector"]["matchLabels"];
                let pod = labels["app.kubernetes.io/name"].as_str();
                let peer = pod.map_or_else(|| peer.to_string(), str::to_owned);
                lines.push(format!("{}: {peer}", port["port"]));
            }
        }
    }
    lines
}

#[test]
fn each_port_is_open_to_exactly_those_who_need_it() {
    let desired = desired(&everything(), &["ns"]);
    for (name, expected) in [
        (
            "demo-prometheus",
            vec![
                "9090: prometheus",
                "10902: prometheus",
                "10902: hindsight-operator",
                "10901: query",
            ],
        ),
        (
            "demo-query",
            vec![
                "10902: prometheus",
                "10902: hindsight-operator",
                "10902: grafana",
            ],
        ),
        ("demo-grafana", vec!["3000: prometheus"]),
        (
            "demo-store",
            vec![
                "10902: prometheus",
                "10902: hindsight-operator",
                "10901: query",
            ],
        ),
        (
            "demo-s3",
            vec!["7070: prometheus", "7070: store", "7070: compact"],
        ),
        (
            "demo-compact",
            vec!["10902: prometheus", "10902: hindsight-operator"],
        ),
        (
            "demo-alertmanager",
            vec![
                "9093: prometheus",
                "9093: grafana",
                "9094: alertmanager",
                "9094: alertmanager",
            ],
        ),
    ] {
        assert_eq!(openings(&desired, name), expected, "{name}");
    }
}

#[test]
fn every_workload_has_a_policy_that_selects_its_pods() {
    let desired = desired(&everything(), &["ns"]);
    let mut workloads = 0;
    for object in &desired.objects {
        let Some(selector) = object.body.pointer("/spec/selector/matchLabels") else {
            continue;
        };
        if matches!(object.kind, Kind::StatefulSet | Kind::Deployment) {
            let policy = find(&desired, Kind::NetworkPolicy, &object.name);
            assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], selector);
            workloads += 1;
        }
    }
    assert_eq!(workloads, 8);
}

#[test]
fn an_autoscaled_deployment_leaves_its_replicas_to_the_autoscaler() {
    let fixed = desired(&json!({}), &[]);
    assert_eq!(
        find(&fixed, Kind::Deployment, "demo-query")["spec"]["replicas"],
        1
    );
    let scaled = desired(
        &json!({ "query": { "autoscaling": { "min": 2, "max": 5, "cpu": 50 } } }),
        &[],
    );
    let deployment = find(&scaled, Kind::Deployment, "demo-query");
    assert!(deployment["spec"].get("replicas").is_none());
    let scaler = find(&scaled, Kind::HorizontalPodAutoscaler, "demo-query");
    assert_eq!(scaler["spec"]["minReplicas"], 2);
    assert_eq!(scaler["spec"]["maxReplicas"], 5);
    // As many as it never falls below are worth a budget.
    find(&scaled, Kind::PodDisruptionBudget, "demo-query");
}

#[test]
fn alertmanager_forms_a_mesh_by_the_means_the_version_has() {
    let flags = |replicas: i32, version: &str| {
        let desired = desired(
            &json!({ "alertmanager": { "enabled": true, "replicas": replicas, "version": version } }),
            &[],
        );
        let set = find(&desired, Kind::StatefulSet, "demo-alertmanager");
        let args = set["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        let args: Vec<String> = serde_json::from_value(args).expect("texts");
        args.into_iter()
            .filter(|arg| arg.starts_with("--cluster."))
            .collect::<Vec<_>>()
    };
    assert_eq!(flags(1, "v0.34.0"), ["--cluster.listen-address="]);
    let peer =
        |n: u8| format!("--cluster.peer=demo-alertmanager-{n}.demo-alertmanager-mesh.ns.svc:9094");
    let labelled = flags(2, "v0.34.0");
    assert_eq!(
        labelled,
        [
            "--cluster.listen-address=[$(POD_IP)]:9094".to_owned(),
            "--cluster.reconnect-timeout=5m".to_owned(),
            "--cluster.label=ns/demo".to_owned(),
            peer(0),
            peer(1),
        ]
    );
    assert!(!flags(2, "v0.25.0").contains(&"--cluster.label=ns/demo".to_owned()));
}

#[test]
fn prometheus_sends_its_alerts_where_there_is_an_alertmanager() {
    let without = stored_template(&desired(&json!({}), &[]));
    assert!(!without.contains("alertmanagers:"), "{without}");
    let with = stored_template(&desired(
        &json!({ "alertmanager": { "enabled": true } }),
        &[],
    ));
    assert!(with.contains("demo-alertmanager;web"), "{with}");
}

#[test]
fn one_compactor_writes_and_keeps_what_the_spec_says() {
    let flags = |compact: Value| {
        let mut spec = everything();
        spec["compact"] = compact;
        let desired = desired(&spec, &[]);
        let set = find(&desired, Kind::StatefulSet, "demo-compact");
        assert_eq!(set["spec"]["replicas"], 1);
        let args = set["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        serde_json::from_value::<Vec<String>>(args).expect("texts")
    };
    let has = |flags: &[String], flag: &str| flags.iter().any(|one| one == flag);
    let standard = flags(json!({}));
    for flag in [
        "--retention.resolution-raw=0d",
        "--retention.resolution-5m=0d",
        "--retention.resolution-1h=0d",
        "--delete-delay=48h",
    ] {
        assert!(has(&standard, flag), "{flag}: {standard:?}");
    }
    assert!(!standard.iter().any(|flag| flag.starts_with("--dedup")));
    let chosen = flags(json!({
        "retention": { "raw": "30d", "fiveMinutes": "180d", "oneHour": "3y" },
        "downsampling": true,
        "deduplication": "Penalty",
        "concurrency": 4,
    }));
    for flag in [
        "--retention.resolution-raw=30d",
        "--retention.resolution-5m=180d",
        "--retention.resolution-1h=3y",
        "--compact.concurrency=4",
        "--downsample.concurrency=4",
        "--deduplication.func=penalty",
        "--deduplication.replica-label=prometheus_replica",
    ] {
        assert!(has(&chosen, flag), "{flag}: {chosen:?}");
    }
}

#[test]
fn a_stack_that_leaves_the_bucket_to_another_has_no_compactor() {
    let mut spec = everything();
    spec["compact"] = json!({ "enabled": false });
    let desired = desired(&spec, &[]);
    assert!(
        desired
            .objects
            .iter()
            .all(|object| !object.name.contains("compact"))
    );
}

#[test]
fn default_rules_fit_what_the_stack_has() {
    let files = |spec: &Value| {
        let desired = desired(spec, &["ns"]);
        let rules = find(&desired, Kind::ConfigMap, "demo-default-rules");
        let data = rules["data"].as_object().expect("files");
        data.keys().cloned().collect::<Vec<_>>()
    };
    let own = ["general.yaml", "prometheus.yaml", "thanos.yaml"];
    assert_eq!(files(&json!({})), own);
    assert_eq!(files(&everything()).len(), 6);
}

#[test]
fn every_dashboard_filters_by_cluster_in_every_query() {
    let desired = desired(&everything(), &["ns"]);
    let config_map = find(&desired, Kind::ConfigMap, "demo-grafana-dashboards");
    let mut queries = 0;
    for (name, text) in config_map["data"].as_object().expect("dashboards") {
        let dashboard: Value = serde_json::from_str(text.as_str().expect("text")).expect(name);
        let variables = dashboard["templating"]["list"]
            .as_array()
            .expect("variables");
        assert!(
            variables.iter().any(|one| one["name"] == "cluster"),
            "{name}"
        );
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("query");
                assert!(query.contains(r#"cluster=~"$cluster""#), "{name}: {query}");
                queries += 1;
            }
        }
    }
    assert!(queries > 40, "only {queries} queries");
}

#[test]
fn grafana_asks_the_querier_as_one_of_thanos() {
    let desired = desired(&everything(), &["ns"]);
    let config = find(&desired, Kind::ConfigMap, "demo-grafana");
    let sources: Value =
        serde_saphyr::from_str(config["data"]["datasources.yaml"].as_str().expect("text"))
            .expect("YAML");
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://demo-query.ns.svc:10902");
    assert_eq!(source["jsonData"]["prometheusType"], "Thanos");
    assert_eq!(
        sources["datasources"][1]["url"],
        "http://demo-alertmanager.ns.svc:9093"
    );
}

#[test]
fn what_is_exposed_has_an_ingress_each_and_is_open_to_clients() {
    let mut spec = everything();
    spec["networkPolicy"] = json!({ "clients": [{ "cidr": "10.1.0.0/16" }] });
    let ingress = json!({
        "className": "nginx",
        "tlsSecretName": "host",
        "annotations": { "nginx.ingress.kubernetes.io/auth-tls-secret": "ns/clients" },
    });
    let external = json!({ "external": true });
    spec["expose"] = json!({
        "grafana": { "host": "grafana.example.com" },
        "sidecarGrpc": {
            "host": "sidecar-$(ordinal).example.com", "ingress": ingress, "auth": external,
        },
    });
    let desired = desired(&spec, &[]);
    let names: Vec<&str> = desired
        .objects
        .iter()
        .filter(|object| object.kind == Kind::Ingress)
        .map(|object| object.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "demo-grafana",
            "demo-prometheus-0-grpc",
            "demo-prometheus-1-grpc"
        ]
    );
    let ingress = find(&desired, Kind::Ingress, "demo-prometheus-1-grpc");
    assert_eq!(ingress["spec"]["rules"][0]["host"], "sidecar-1.example.com");
    assert_eq!(
        ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"],
        json!({ "name": "demo-prometheus-1", "port": { "name": "grpc" } })
    );
    assert_eq!(ingress["spec"]["tls"][0]["secretName"], "host");
    let peer = r#"10901: {"ipBlock":{"cidr":"10.1.0.0/16"}}"#.to_owned();
    assert!(openings(&desired, "demo-prometheus").contains(&peer));
}
