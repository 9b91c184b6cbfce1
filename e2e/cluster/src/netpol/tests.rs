use serde_json::{Value, json};

use super::*;

fn pod(namespace: &str, name: &str, address: &str, labels: Value) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {
            "containers": [{"name": "c", "ports": [
                {"name": "http", "containerPort": 8080},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            ]}],
            "initContainers": [
                {"name": "sidecar", "restartPolicy": "Always",
                    "ports": [{"name": "grpc", "containerPort": 10901}]},
                {"name": "once", "ports": [{"name": "grpc", "containerPort": 1}]},
            ],
        },
        "status": {"phase": "Running", "podIP": address},
    })
}

fn policy(namespace: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": "p"}, "spec": spec})
}

/// Two namespaces, three pods; `policies` are added.
fn objects(policies: &[Value]) -> Objects {
    let pods = [
        pod("one", "web", "10.244.0.10", json!({"app": "web"})),
        pod("one", "db", "10.244.0.11", json!({"app": "db"})),
        pod("two", "client", "10.244.0.20", json!({"app": "client"})),
    ];
    let namespaces = ["one", "two"].map(
        |name| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}),
    );
    let read = |value: &Value| value.clone();
    Objects {
        policies: policies
            .iter()
            .map(|value| serde_json::from_value(read(value)).expect("a policy"))
            .collect(),
        pods: pods
            .iter()
            .map(|value| serde_json::from_value(read(value)).expect("a pod"))
            .collect(),
        namespaces: namespaces
            .iter()
            .map(|value| serde_json::from_value(read(value)).expect("a namespace"))
            .collect(),
    }
}

/// The rules of one chain without its first (the pod itself) and last (drop); none where it is missing.
fn rules(script: &str, chain: &str) -> Option<Vec<String>> {
    let (_, rest) = script.split_once(&format!("chain {chain} {{\n"))?;
    let (body, _) = rest.split_once("  }\n")?;
    let lines: Vec<_> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .collect();
    let [own, rules @ .., "counter drop"] = lines.as_slice() else {
        panic!("a chain that does not end in drop: {lines:?}");
    };
    assert!(own.ends_with("return"), "{own}");
    Some(rules.iter().map(|&rule| rule.to_owned()).collect())
}

#[test]
fn without_policies_nobody_is_isolated() {
    let script = script(&objects(&[]));
    assert!(!script.contains("elements"), "{script}");
    assert!(!script.contains("drop"), "{script}");
}

#[test]
fn the_whole_script_of_a_default_deny() {
    let deny = policy(
        "one",
        json!({"podSelector": {"matchLabels": {"app": "db"}}}),
    );
    assert_eq!(
        script(&objects(&[deny])),
        "\
add table inet hindsight-netpol
delete table inet hindsight-netpol
table inet hindsight-netpol {
  chain to-pod-10-244-0-11 {
    # one/db
    ip saddr 10.244.0.11 return
    counter drop
  }
  map to-pod {
    type ipv4_addr : verdict
    elements = { 10.244.0.11 : jump to-pod-10-244-0-11 }
  }
  map from-pod {
    type ipv4_addr : verdict
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    ip saddr vmap @from-pod
    ip daddr vmap @to-pod
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    ip saddr vmap @from-pod
  }
}
"
    );
}

#[test]
fn an_empty_selector_isolates_its_namespace_alone() {
    let deny = policy(
        "one",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
    );
    let script = script(&objects(&[deny]));
    for chain in [
        "to-pod-10-244-0-10",
        "from-pod-10-244-0-10",
        "to-pod-10-244-0-11",
    ] {
        assert_eq!(rules(&script, chain), Some(vec![]), "{chain}");
    }
    assert_eq!(rules(&script, "to-pod-10-244-0-20"), None);
}

#[test]
fn unsaid_policy_types_follow_the_egress_rules() {
    let ingress_only = policy("one", json!({"podSelector": {}, "ingress": [{}]}));
    let text = script(&objects(&[ingress_only]));
    assert_eq!(
        rules(&text, "to-pod-10-244-0-10"),
        Some(vec!["return".to_owned()])
    );
    assert_eq!(rules(&text, "from-pod-10-244-0-10"), None);
    let both = policy("one", json!({"podSelector": {}, "egress": [{}]}));
    let text = script(&objects(&[both]));
    assert_eq!(rules(&text, "to-pod-10-244-0-10"), Some(vec![]));
    assert_eq!(
        rules(&text, "from-pod-10-244-0-10"),
        Some(vec!["return".to_owned()])
    );
}

#[test]
fn peers_by_pod_stay_in_the_namespace_and_by_namespace_leave_it() {
    let allow = |from: Value| {
        let policy = policy(
            "one",
            json!({
            "podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": from}]}),
        );
        rules(&script(&objects(&[policy])), "to-pod-10-244-0-11").expect("isolated")
    };
    assert_eq!(
        allow(json!([{"podSelector": {}}])),
        ["ip saddr { 10.244.0.10, 10.244.0.11 } return"]
    );
    assert_eq!(
        allow(json!([{"podSelector": {"matchLabels": {"app": "client"}}}])),
        [""; 0]
    );
    let two = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["two"]}]});
    assert_eq!(
        allow(json!([{"namespaceSelector": two}])),
        ["ip saddr { 10.244.0.20 } return"]
    );
    assert_eq!(
        allow(json!([{"namespaceSelector": two, "podSelector": {"matchLabels": {"app": "web"}}}])),
        [""; 0],
        "both selectors of one entry must match"
    );
    assert_eq!(
        allow(json!([{"namespaceSelector": {}}])),
        ["ip saddr { 10.244.0.10, 10.244.0.11, 10.244.0.20 } return"]
    );
    assert_eq!(allow(json!([])), ["return"], "an empty list is everyone");
}

#[test]
fn blocks_have_exceptions_and_only_ipv4_is_rendered() {
    let policy = policy(
        "one",
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}},
            {"ipBlock": {"cidr": "fd00::/8"}},
            {"ipBlock": {"cidr": "10.0.0.0/8 accept; drop/8"}},
        ]}]}),
    );
    assert_eq!(
        rules(&script(&objects(&[policy])), "from-pod-10-244-0-10"),
        Some(vec![
            "ip daddr 10.0.0.0/8 ip daddr != 10.1.0.0/16 ip daddr != 10.1.2.0/24 return".to_owned()
        ])
    );
}

#[test]
fn ports_are_merged_by_protocol() {
    let policy = policy(
        "one",
        json!({"podSelector": {}, "ingress": [{"ports": [
            {"port": 90, "endPort": 100}, {"port": 95, "endPort": 110}, {"port": 80},
            {"protocol": "UDP", "port": 53}, {"protocol": "SCTP"}, {"protocol": "SCTP", "port": 9},
        ]}]}),
    );
    assert_eq!(
        rules(&script(&objects(&[policy])), "to-pod-10-244-0-10"),
        Some(vec![
            "meta l4proto sctp return".to_owned(),
            "tcp dport { 80, 90-110 } return".to_owned(),
            "udp dport { 53 } return".to_owned(),
        ])
    );
}

#[test]
fn a_named_port_is_the_receivers_and_a_sidecars_counts() {
    let ingress = |port: Value| {
        let policy = policy(
            "one",
            json!({"podSelector": {}, "ingress": [{"ports": [port]}]}),
        );
        rules(&script(&objects(&[policy])), "to-pod-10-244-0-10").expect("isolated")
    };
    assert_eq!(
        ingress(json!({"port": "http"})),
        ["tcp dport { 8080 } return"]
    );
    assert_eq!(
        ingress(json!({"port": "grpc"})),
        ["tcp dport { 10901 } return"]
    );
    assert_eq!(
        ingress(json!({"port": "dns", "protocol": "UDP"})),
        ["udp dport { 53 } return"]
    );
    assert_eq!(
        ingress(json!({"port": "dns"})),
        [""; 0],
        "the protocol must be the port's"
    );
    assert_eq!(ingress(json!({"port": "nobody-has-it"})), [""; 0]);
    let egress = policy(
        "one",
        json!({
        "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}],
            "ports": [{"port": "http"}, {"port": 443}]}]}),
    );
    assert_eq!(
        rules(&script(&objects(&[egress])), "from-pod-10-244-0-10"),
        Some(vec![
            "ip daddr { 10.244.0.11 } tcp dport { 443 } return".to_owned(),
            "ip daddr { 10.244.0.11 } tcp dport { 8080 } return".to_owned(),
        ])
    );
}

#[test]
fn policies_add_up_and_equal_rules_stand_once() {
    let allow = |app: &str| {
        policy(
            "one",
            json!({
        "podSelector": {"matchLabels": {"app": "db"}},
        "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": app}}}]}]}),
        )
    };
    let script = script(&objects(&[allow("web"), allow("client"), allow("web")]));
    assert_eq!(
        rules(&script, "to-pod-10-244-0-11"),
        Some(vec![
            "ip saddr { 10.244.0.10 } return".to_owned(),
            "ip saddr { 10.244.0.20 } return".to_owned(),
        ])
    );
}

#[test]
fn ended_pods_and_pods_of_the_node_are_not_isolated() {
    let mut objects = objects(&[policy("one", json!({"podSelector": {}}))]);
    objects.pods[0].status.as_mut().expect("status").phase = Some("Succeeded".to_owned());
    objects.pods[1].spec.as_mut().expect("spec").host_network = Some(true);
    let script = script(&objects);
    assert!(!script.contains("drop"), "{script}");
}

#[test]
fn nft_accepts_what_is_rendered() {
    let rich = policy(
        "one",
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
            "ports": [{"port": "http"}, {"port": 1, "endPort": 9}, {"protocol": "SCTP"}]}],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": "grpc"}]}, {}]}),
    );
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = dir.path().join("script.nft");
    std::fs::write(&file, script(&objects(&[rich]))).expect("write");
    // A network namespace of its own: nft reads the kernel's tables even where it only checks.
    let file = file.to_str().expect("UTF-8");
    if let Err(error) = crate::process::run("unshare", &["-n", "nft", "--check", "-f", file]) {
        let cannot = !nix::unistd::geteuid().is_root() || crate::parts::find("nft").is_none();
        assert!(cannot && std::env::var_os("CI").is_none(), "{error:#}");
    }
}
