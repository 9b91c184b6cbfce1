//! The whole node: up, names, volumes, Services, policies, repair after a kill, and nothing left of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cluster::{BUSYBOX_IMAGE, Cluster};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// What a pod may take to start or end on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(100);

/// Why this machine cannot hold a cluster now, where that is so.
fn obstacle() -> Option<&'static str> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    if !root {
        return Some("it needs root");
    }
    let taken = Path::new("/sys/class/net/hs-node0").is_dir();
    taken.then_some("another embedded cluster is up; take it down with hindsight-cluster down")
}

fn cli(command: &str, dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hindsight-cluster"))
        .arg(command)
        .arg("--dir")
        .arg(dir)
        .output()
        .expect("run hindsight-cluster")
}

fn succeed(command: &str, dir: &Path) -> String {
    let output = cli(command, dir);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} failed:\n{errors}");
    errors.into_owned()
}

/// Takes the cluster down where the test fails on its way; `down` is repeatable.
struct Guard(PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        cli("down", &self.0);
    }
}

async fn create<K>(client: &Client, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let object: K = serde_json::from_value(object).expect("an object");
    let api: Api<K> = Api::namespaced(client.clone(), "probe");
    api.create(&PostParams::default(), &object)
        .await
        .expect("create");
}

/// A pod of a plain user that runs a script to its end.
fn script_pod(name: &str, app: &str, script: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true},
            "containers": [{
                "name": "main", "image": BUSYBOX_IMAGE, "command": ["/bin/sh", "-c", script],
            }],
        },
    })
}

async fn phase_of(client: &Client, name: &str, wanted: &[&str]) -> String {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "probe");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pod = pods.get(name).await.expect("get the pod");
        let status = pod.status.unwrap_or_default();
        let phase = status.phase.clone().unwrap_or_default();
        if wanted.contains(&phase.as_str()) {
            return phase;
        }
        assert!(
            Instant::now() < deadline,
            "{name} is {phase}, not {wanted:?}: {status:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Whether the script ends well in a fresh pod with this label.
async fn ends_well(client: &Client, name: &str, app: &str, script: &str) -> bool {
    create::<Pod>(client, script_pod(name, app, script)).await;
    phase_of(client, name, &["Succeeded", "Failed"]).await == "Succeeded"
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("run a program");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn serve(client: &Client) {
    create::<PersistentVolumeClaim>(
        client,
        json!({
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}},
        }),
    )
    .await;
    let script = "echo from-the-volume > /data/index.html && exec httpd -f -p 8080 -h /data";
    let mut server = script_pod("server", "server", script);
    server["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let container = &mut server["spec"]["containers"][0];
    container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    container["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    container["readinessProbe"] =
        json!({"httpGet": {"path": "/index.html", "port": "http"}, "periodSeconds": 1});
    create::<Pod>(client, server).await;
    create::<Service>(
        client,
        json!({
            "metadata": {"name": "server"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": "http"}]},
        }),
    )
    .await;
    phase_of(client, "server", &["Running"]).await;
}

/// Asks the Service by its name.
const ASK: &str = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 server.probe.svc.cluster.local 80 \
                   | grep -q from-the-volume";

async fn policies_are_enforced(client: &Client) {
    let patient = format!("for i in $(seq 100); do {ASK} && exit 0; sleep 0.2; done; exit 1");
    assert!(
        ends_well(client, "before", "stranger", &patient).await,
        "no policy, no answer"
    );
    let address = server_address(client).await;
    create::<NetworkPolicy>(
        client,
        json!({
            "metadata": {"name": "friends-only"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "server"}},
                "ingress": [{
                    "from": [{"podSelector": {"matchLabels": {"app": "friend"}}}],
                    "ports": [{"port": "http"}],
                }],
            },
        }),
    )
    .await;
    let chain = format!("to-pod-{}", address.replace('.', "-"));
    let deadline = Instant::now() + PATIENCE;
    while !output_of("nft", &["list", "table", "inet", cluster::NETPOL_TABLE]).contains(&chain) {
        assert!(Instant::now() < deadline, "the policy is not enforced");
        tokio::time::sleep(POLL).await;
    }
    assert!(
        !ends_well(client, "stranger", "stranger", ASK).await,
        "a stranger got an answer"
    );
    assert!(
        ends_well(client, "friend", "friend", &patient).await,
        "a friend got none"
    );
}

async fn server_address(client: &Client) -> String {
    let pods: Api<Pod> = Api::namespaced(client.clone(), "probe");
    let pod = pods.get("server").await.expect("get the server");
    pod.status
        .and_then(|status| status.pod_ip)
        .expect("an address")
}

/// Kills daemons as a crash would, and has `up` bring them back under the running pods.
async fn is_repaired(dir: &Path, cluster: &Cluster) {
    let before = cluster.status().await.expect("status");
    assert!(before.ready, "{:?}", before.waiting_for);
    let victims = ["kube-apiserver", "containerd", "kubelet"];
    for part in before
        .parts
        .iter()
        .filter(|part| victims.contains(&part.name.as_str()))
    {
        let pid = part.pid.expect("it runs").to_string();
        output_of("kill", &["-9", &pid]);
    }
    let log = succeed("up", dir);
    for part in &before.parts {
        let restarted = log.contains(&format!("starting {} ...", part.name));
        assert_eq!(
            restarted,
            victims.contains(&part.name.as_str()),
            "{}:\n{log}",
            part.name
        );
    }
    let client = cluster.client().await.expect("client");
    let pods: Api<Pod> = Api::namespaced(client, "probe");
    let server = pods.get("server").await.expect("get the server");
    let containers = server
        .status
        .and_then(|status| status.container_statuses)
        .unwrap_or_default();
    assert!(
        containers
            .iter()
            .all(|container| container.restart_count == 0),
        "{containers:?}"
    );
}

fn nothing_is_left(dir: &Path) {
    assert!(!dir.is_dir(), "the state folder is left");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read mounts");
    let dir = dir.to_str().expect("UTF-8");
    assert!(!mounts.contains(dir), "mounts are left");
    for link in ["hs-node0", "hs-br0"] {
        assert!(
            !Path::new("/sys/class/net").join(link).is_dir(),
            "{link} is left"
        );
    }
    let tables = output_of("nft", &["list", "tables"]);
    for table in ["hindsight", "kube-proxy"] {
        assert!(!tables.contains(table), "tables are left:\n{tables}");
    }
    for process in std::fs::read_dir("/proc")
        .expect("list processes")
        .flatten()
    {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        assert!(!command.contains(dir), "a process is left: {command}");
    }
}

#[tokio::test]
async fn a_node_comes_up_works_is_repaired_and_goes_without_a_trace() {
    if let Some(obstacle) = obstacle() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the node cannot be tested: {obstacle}"
        );
        cluster::progress(&format!("SKIP: the node cannot be tested here: {obstacle}"));
        return;
    }
    let temporary = tempfile::tempdir().expect("temporary folder");
    let dir = temporary.path().join("node");
    let guard = Guard(dir.clone());
    succeed("up", &dir);
    let again = succeed("up", &dir);
    assert!(
        again.contains("already up") && !again.contains("starting"),
        "{again}"
    );

    let cluster = Cluster::open(&dir).expect("open").expect("a cluster");
    let client = cluster.client().await.expect("client");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let probe =
        serde_json::from_value(json!({"metadata": {"name": "probe"}})).expect("a namespace");
    namespaces
        .create(&PostParams::default(), &probe)
        .await
        .expect("create the namespace");
    serve(&client).await;
    policies_are_enforced(&client).await;
    is_repaired(&dir, &cluster).await;

    succeed("down", &dir);
    nothing_is_left(&dir);
    drop(guard);
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let temporary = tempfile::tempdir().expect("temporary folder");
    let dir = temporary.path().join("documents");
    let precious = dir.join("precious");
    std::fs::create_dir(&dir).expect("create");
    std::fs::write(&precious, "content").expect("write");
    for command in ["up", "down"] {
        let output = cli(command, &dir);
        assert!(
            !output.status.success(),
            "{command} accepted a folder of something else"
        );
    }
    assert_eq!(std::fs::read_to_string(&precious).expect("read"), "content");
}
