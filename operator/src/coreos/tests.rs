//! Goldens of every kind and option, and a table of everything that is refused.

use serde_json::{Value, json};

use crate::render::render;
use crate::settings::Settings;

/// `operator/golden/coreos/<case>.yaml` becomes `<case>.golden.yaml`: verdicts, the jobs of
/// monitoring resources, and their rule files. `UPDATE_GOLDEN=1` rewrites them.
#[test]
fn golden_cases_translate_as_recorded() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/coreos");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.to_string_lossy().ends_with(".golden.yaml") {
            continue;
        }
        cases += 1;
        let input = std::fs::read_to_string(&path).expect("case");
        let output = translated(&input);
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
    assert!(cases >= 5, "only {cases} cases");
}

fn translated(input: &str) -> String {
    let first = input.lines().next().unwrap_or_default();
    let namespaces = first.strip_prefix("# cluster-stacks: ").unwrap_or_default();
    let settings = Settings {
        cluster_stacks: namespaces.split(',').map(str::to_owned).collect(),
        ..Settings::default()
    };
    let rendered = render(input, &settings).expect("renders");
    let mut output = String::new();
    for line in rendered.lines().filter(|line| line.starts_with("# ")) {
        output.push_str(line);
        output.push('\n');
    }
    for text in rendered.split("---\n") {
        let document: Value = serde_saphyr::from_str(text).unwrap_or_default();
        if let Some(template) = document["stringData"]["prometheus.yaml.tmpl"].as_str() {
            let config: Value = serde_saphyr::from_str(template).expect("YAML");
            let jobs: Vec<&Value> = config["scrape_configs"]
                .as_array()
                .expect("jobs")
                .iter()
                .filter(|job| {
                    job["job_name"]
                        .as_str()
                        .is_some_and(|name| name.contains('/'))
                })
                .collect();
            if !jobs.is_empty() {
                output.push_str("---\n");
                output.push_str(&crate::yaml::document(&json!(jobs)));
            }
        } else if document["kind"] == "ConfigMap" {
            output.push_str("---\n");
            output.push_str(&crate::yaml::document(&document["data"]));
        }
    }
    output
}

/// The rejection of one object, which shares its namespace with a good one; the good one is used.
fn rejection(kind: &str, spec: &Value) -> String {
    let version = if kind == "ScrapeConfig" {
        "v1alpha1"
    } else {
        "v1"
    };
    let object = |name: &str, kind: &str, version: &str, spec: &Value| {
        json!({
            "apiVersion": format!("monitoring.coreos.com/{version}"),
            "kind": kind,
            "metadata": { "name": name, "namespace": "ns", "uid": "u" },
            "spec": spec,
        })
    };
    let good = json!({ "selector": {}, "endpoints": [{ "port": "web" }] });
    let documents = [
        json!({
            "apiVersion": "hindsight.dev/v1alpha1",
            "kind": "MonitoringStack",
            "metadata": { "name": "main", "namespace": "ns" },
            "spec": {},
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "login", "namespace": "ns" },
            "stringData": { "token": "hunter2" },
        }),
        object("bad", kind, version, spec),
        object("good", "ServiceMonitor", "v1", &good),
    ];
    let input: String = documents
        .iter()
        .map(|document| format!("---\n{}", crate::yaml::document(document)))
        .collect();
    let output = translated(&input);
    assert!(
        output.contains("job_name: serviceMonitor/ns/good/0"),
        "{output}"
    );
    assert!(!output.contains("/ns/bad"), "{output}");
    let line = output.lines().find(|line| line.starts_with("# left out: "));
    let line = line.unwrap_or_else(|| panic!("{kind} {spec} is taken:\n{output}"));
    line.trim_start_matches(&format!("# left out: {kind} ns/bad: "))
        .to_owned()
}

#[test]
fn what_is_wrong_is_left_out_alone_and_named() {
    let endpoint = |fields: Value| {
        let mut endpoint = json!({ "port": "web" });
        for (name, value) in fields.as_object().expect("fields") {
            endpoint[name] = value.clone();
        }
        json!({ "selector": {}, "endpoints": [endpoint] })
    };
    let relabel = |fields: Value| endpoint(json!({ "relabelings": [fields] }));
    let probe = |fields: Value| {
        let mut spec = json!({
            "prober": { "url": "blackbox:9115" },
            "targets": { "staticConfig": { "static": ["a"] } },
        });
        for (name, value) in fields.as_object().expect("fields") {
            spec[name] = value.clone();
        }
        spec
    };
    let rule = |rule: Value| json!({ "groups": [{ "name": "g", "rules": [rule] }] });
    let key = |name: &str, key: &str| json!({ "name": name, "key": key });
    #[rustfmt::skip]
    let cases = [
        ("ServiceMonitor", json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } }), "needs values"),
        ("ServiceMonitor", json!({ "selector": { "matchExpressions": [{ "key": "a", "operator": "Near", "values": ["x"] }] } }), "\"Near\" is no operator"),
        ("ServiceMonitor", json!({ "selector": { "matchLabels": { "a b": "c" } } }), "is no label name"),
        ("ServiceMonitor", json!({ "selector": 3 }), "does not fit its schema"),
        ("ServiceMonitor", json!({ "selector": {}, "scrapeClass": "x", "endpoints": [] }), "scrapeClass \"x\""),
        ("ServiceMonitor", json!({ "selector": {}, "namespaceSelector": { "matchNames": ["other"] }, "endpoints": [{ "port": "a" }] }), "--cluster-stacks"),
        ("ServiceMonitor", endpoint(json!({ "bearerTokenFile": "/var/run/secrets/token" })), "names a file"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "caFile": "/ca" } })), "tlsConfig.caFile names a file"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "certFile": "/c" } })), "names a file"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "keyFile": "/k" } })), "names a file"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "keySecret": key("login", "token") } })), "needs both cert and keySecret"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "minVersion": "SSL3" } })), "is no version"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "minVersion": "TLS13", "maxVersion": "TLS12" } })), "above maxVersion"),
        ("ServiceMonitor", endpoint(json!({ "tlsConfig": { "ca": { "secret": key("login", "token"), "configMap": key("a", "b") } } })), "both a Secret and a ConfigMap"),
        ("ServiceMonitor", endpoint(json!({ "bearerTokenSecret": key("absent", "token") })), "Secret \"absent\" does not exist in namespace ns"),
        ("ServiceMonitor", endpoint(json!({ "authorization": { "credentials": key("login", "absent") } })), "has no key \"absent\""),
        ("ServiceMonitor", endpoint(json!({ "authorization": { "type": "Basic" } })), "use basicAuth"),
        ("ServiceMonitor", endpoint(json!({ "basicAuth": { "username": key("login", "token") } })), "basicAuth.password: names no Secret"),
        ("ServiceMonitor", endpoint(json!({ "authorization": {}, "bearerTokenSecret": key("login", "token") })), "takes only one of"),
        ("ServiceMonitor", endpoint(json!({ "oauth2": { "clientId": {}, "clientSecret": key("login", "token"), "tokenUrl": "x" } })), "oauth2.clientId"),
        ("ServiceMonitor", endpoint(json!({ "oauth2": { "clientId": { "secret": key("login", "token") }, "clientSecret": key("login", "token") } })), "tokenUrl is missing"),
        ("ServiceMonitor", endpoint(json!({ "proxyUrl": "proxy" })), "has no scheme"),
        ("ServiceMonitor", endpoint(json!({ "noProxy": "a" })), "noProxy needs proxyUrl"),
        ("ServiceMonitor", endpoint(json!({ "proxyUrl": "http://a", "proxyFromEnvironment": true })), "takes only one of"),
        ("ServiceMonitor", endpoint(json!({ "proxyConnectHeader": { "X": [key("login", "token")] } })), "proxyConnectHeader needs"),
        ("ServiceMonitor", endpoint(json!({ "scrapeTimeout": "31s" })), "longer than the interval 30s of the stack"),
        ("ServiceMonitor", endpoint(json!({ "interval": "5s", "scrapeTimeout": "6s" })), "longer than the interval 5s"),
        ("ServiceMonitor", endpoint(json!({ "interval": "often" })), "is no duration"),
        ("ServiceMonitor", endpoint(json!({ "interval": "0s" })), "longer than zero"),
        ("ServiceMonitor", endpoint(json!({ "scheme": "ftp" })), "neither http nor https"),
        ("ServiceMonitor", endpoint(json!({ "path": "/$(HOME)" })), "uses $(HOME)"),
        ("ServiceMonitor", relabel(json!({ "targetLabel": "a", "regex": "(" })), "relabelings[0]: regex"),
        ("ServiceMonitor", relabel(json!({ "action": "explode" })), "is no relabel action"),
        ("ServiceMonitor", relabel(json!({})), "needs a targetLabel"),
        ("ServiceMonitor", relabel(json!({ "action": "hashmod", "targetLabel": "a" })), "needs a modulus"),
        ("ServiceMonitor", relabel(json!({ "action": "lowercase", "targetLabel": "a", "replacement": "b" })), "takes no replacement"),
        ("ServiceMonitor", relabel(json!({ "action": "keepequal", "targetLabel": "a", "regex": "b" })), "takes only sourceLabels"),
        ("ServiceMonitor", relabel(json!({ "action": "labeldrop", "regex": "a", "sourceLabels": ["b"] })), "takes only a regex"),
        ("ServiceMonitor", endpoint(json!({ "metricRelabelings": [{ "action": "keep", "regex": "[" }] })), "metricRelabelings[0]: regex"),
        ("ServiceMonitor", json!({ "selector": {}, "sampleLimit": -1, "endpoints": [{ "port": "a" }] }), "sampleLimit must not be negative"),
        ("ServiceMonitor", json!({ "selector": {}, "bodySizeLimit": "big", "endpoints": [{ "port": "a" }] }), "bodySizeLimit"),
        ("ServiceMonitor", json!({ "selector": {}, "scrapeProtocols": ["Morse"], "endpoints": [{ "port": "a" }] }), "no scrape protocol"),
        ("PodMonitor", json!({ "selector": {}, "podMetricsEndpoints": [{ "port": "a", "scrapeTimeout": "1h" }] }), "podMetricsEndpoints[0]: scrapeTimeout"),
        ("PodMonitor", json!({ "selector": {}, "namespaceSelector": { "matchNames": ["other"] }, "podMetricsEndpoints": [{}] }), "--cluster-stacks"),
        ("Probe", probe(json!({ "targets": {} })), "neither staticConfig nor ingress"),
        ("Probe", probe(json!({ "targets": { "staticConfig": {} } })), "static is empty"),
        ("Probe", probe(json!({ "prober": { "url": "http://blackbox:9115" } })), "must be a host"),
        ("Probe", probe(json!({ "prober": { "url": "blackbox:99999" } })), "must be a host"),
        ("Probe", probe(json!({ "prober": { "url": "" } })), "must be a host"),
        ("Probe", probe(json!({ "bearerTokenSecret": key("absent", "a") })), "does not exist"),
        ("ScrapeConfig", json!({ "fileSDConfigs": [{ "files": ["/etc/x"] }] }), "names files"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Node" }] }), "--cluster-stacks"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Pod", "namespaces": { "names": ["other"] } }] }), "--cluster-stacks"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Galaxy" }] }), "does not exist"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Pod", "selectors": [{ "role": "Node" }] }] }), "only selectors of pod"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Pod", "apiServer": "https://x", "namespaces": { "ownNamespace": true } }] }), "takes only one of"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Pod", "selectors": [{ "role": "Pod" }, { "role": "Pod" }] }] }), "selected twice"),
        ("ScrapeConfig", json!({ "kubernetesSDConfigs": [{ "role": "Pod", "tlsConfig": { "insecureSkipVerify": true } }] }), "without apiServer"),
        ("ScrapeConfig", json!({ "httpSDConfigs": [{ "url": "ftp://a" }] }), "must be http://"),
        ("ScrapeConfig", json!({ "eurekaSDConfigs": [{ "server": "eureka" }] }), "must be http://"),
        ("ScrapeConfig", json!({ "dnsSDConfigs": [{ "names": ["a"], "type": "A" }] }), "need a port"),
        ("ScrapeConfig", json!({ "dnsSDConfigs": [{ "names": ["a"], "type": "TXT" }] }), "is none of"),
        ("ScrapeConfig", json!({ "azureSDConfigs": [{ "subscriptionID": "a" }] }), "needs tenant_id"),
        ("ScrapeConfig", json!({ "consulSDConfigs": [{ "server": "a", "tokenRef": key("login", "token"), "authorization": { "credentials": key("login", "token") } }] }), "takes only one of"),
        ("ScrapeConfig", json!({ "scalewaySDConfigs": [{ "accessKey": "k", "secretKey": key("login", "token"), "projectID": "p", "role": "Instance" }] }), "accessKey must look"),
        ("ScrapeConfig", json!({ "consulSDConfigs": [{}] }), "server is missing"),
        ("ScrapeConfig", json!({ "consulSDConfigs": [{ "server": "a", "tokenRef": key("absent", "a") }] }), "tokenRef: Secret"),
        ("ScrapeConfig", json!({ "dnsSDConfigs": [{ "names": [] }] }), "names is missing"),
        ("ScrapeConfig", json!({ "dnsSDConfigs": [{ "names": ["a"], "refreshInterval": "x" }] }), "is no duration"),
        ("ScrapeConfig", json!({ "tarotSDConfigs": [{ "card": "fool" }] }), "no such discovery"),
        ("ScrapeConfig", json!({ "ovhcloudSDConfigs": [{ "applicationKey": "k", "applicationSecret": key("login", "token"), "consumerKey": key("login", "token"), "service": "Boat", "endpoint": "ovh-eu" }] }), "neither VPS"),
        ("PrometheusRule", json!({ "groups": [{ "rules": [] }] }), "has no name"),
        ("PrometheusRule", json!({ "groups": [{ "name": "a" }, { "name": "a" }] }), "is used twice"),
        ("PrometheusRule", rule(json!({ "alert": "A", "expr": "sum by (" })), "expr: "),
        ("PrometheusRule", rule(json!({ "alert": "A", "expr": "no_such_function(up)" })), "unknown function"),
        ("PrometheusRule", rule(json!({ "alert": "A", "expr": " " })), "has no expr"),
        ("PrometheusRule", rule(json!({ "expr": "up" })), "neither record nor alert"),
        ("PrometheusRule", rule(json!({ "alert": "A", "record": "b", "expr": "up" })), "both record and alert"),
        ("PrometheusRule", rule(json!({ "record": "a", "for": "1m", "expr": "up" })), "takes no for"),
        ("PrometheusRule", rule(json!({ "alert": "A", "for": "soon", "expr": "up" })), "is no duration"),
        ("PrometheusRule", rule(json!({ "alert": "A", "expr": "up", "labels": { "__name__": "x" } })), "cannot be set"),
        ("PrometheusRule", rule(json!({ "alert": "A", "expr": "up", "annotations": { "summary": "{{ $value" } })), "annotations.summary"),
        ("PrometheusRule", json!({ "groups": [{ "name": "a", "limit": -1 }] }), "limit must not"),
    ];
    for (kind, spec, expected) in cases {
        let problem = rejection(kind, &spec);
        assert!(problem.contains(expected), "{kind} {spec}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn what_is_unusual_and_right_is_taken() {
    for (kind, version, spec) in [
        (
            "Probe",
            "v1",
            json!({ "prober": { "url": "[::1]:9115" }, "targets": { "staticConfig": { "static": ["a"] } } }),
        ),
        (
            "ServiceMonitor",
            "v1",
            json!({ "selector": {}, "endpoints": [{ "port": "a", "scrapeTimeout": "30s" }], "newerField": { "a": 1 } }),
        ),
        (
            "PrometheusRule",
            "v1",
            json!({ "groups": [{ "name": "a", "rules": [{ "record": "a:b", "expr": "max_over_time(up[5m:1m])" }] }] }),
        ),
    ] {
        let input = format!(
            "---\n{}---\n{}",
            crate::yaml::document(&json!({
                "apiVersion": "hindsight.dev/v1alpha1",
                "kind": "MonitoringStack",
                "metadata": { "name": "main", "namespace": "ns" },
                "spec": {},
            })),
            crate::yaml::document(&json!({
                "apiVersion": format!("monitoring.coreos.com/{version}"),
                "kind": kind,
                "metadata": { "name": "odd", "namespace": "ns", "uid": "u" },
                "spec": spec,
            }))
        );
        let output = translated(&input);
        assert!(!output.contains("# left out"), "{output}");
        assert!(output.contains("odd"), "{output}");
    }
}
