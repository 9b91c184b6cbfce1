//! One control plane for all tests of this binary; a namespace and an operator of its own for each.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::operator::controller::build::Kind;
use ::operator::run::{Config, RunError, run};
use ::operator::settings::Settings;
use ::operator::telemetry::Metrics;
use crds::MonitoringStack;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for any condition.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Scenes at once: an operator that gets no processor for ten seconds rightly loses its lease.
static SCENES: Semaphore = Semaphore::const_new(4);
const SERVICE_ACCOUNT: &str = "system:serviceaccount:hindsight-system:hindsight-operator";

/// The control plane's kubeconfig; none where this machine cannot run one, which fails where
/// `CI=true`.
pub(crate) fn kubeconfig() -> Option<&'static Path> {
    static KUBECONFIG: OnceLock<Option<PathBuf>> = OnceLock::new();
    KUBECONFIG.get_or_init(start).as_deref()
}

/// Starts the control plane in a thread that lives as long as the process: its programs end with
/// the thread that started them.
fn start() -> Option<PathBuf> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        runtime.block_on(async {
            let started = cluster::ControlPlane::start(state_dir()).await;
            match started {
                Ok(control_plane) => {
                    prepare(control_plane.kubeconfig()).await;
                    let kubeconfig = control_plane.kubeconfig().to_owned();
                    sender.send(Ok(kubeconfig)).expect("receiver waits");
                    std::future::pending::<()>().await;
                }
                Err(error) => sender.send(Err(error)).expect("receiver waits"),
            }
        });
    });
    match receiver.recv().expect("the thread answers") {
        Ok(kubeconfig) => Some(kubeconfig),
        Err(error) => {
            skip("no control plane on this machine", &error);
            None
        }
    }
}

/// Says that a test cannot run here, which is a failure where `CI=true`.
#[expect(clippy::print_stderr, reason = "the line that explains a skipped test")]
pub(crate) fn skip(what: &str, error: &impl std::fmt::Display) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{what}: {error:#}"
    );
    eprintln!("SKIP: {what}: {error:#}");
}

/// A folder of this process; those of processes that are gone are removed.
fn state_dir() -> PathBuf {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operator");
    for entry in std::fs::read_dir(&base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !Path::new("/proc").join(&name).try_exists().unwrap_or(true) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
    base.join(std::process::id().to_string())
}

/// Installs what `config/` installs: the definition and the roles.
async fn prepare(kubeconfig: &Path) {
    let client = admin_of(kubeconfig).await;
    create_namespace(&client, "hindsight-system").await;
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    for file in [
        "crd/hindsight.dev_monitoringstacks.yaml",
        "rbac/service_account.yaml",
        "rbac/operator_roles.yaml",
        "rbac/prometheus_roles.yaml",
        "rbac/exporter_roles.yaml",
        "rbac/user_roles.yaml",
        "rbac/bindings.yaml",
        "coreos-crds/role.yaml",
    ] {
        let text = std::fs::read_to_string(config.join(file)).expect(file);
        for document in text.split("---\n").filter(|text| text.contains("kind:")) {
            let document: Value = serde_saphyr::from_str(document).expect(file);
            apply_document(&client, &document).await;
        }
    }
    let definitions: Api<DynamicObject> = Api::all_with(
        client,
        &ApiResource::from_gvk(&GroupVersionKind::gvk(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
        )),
    );
    until("the definition is established", async || {
        let found = definitions
            .get("monitoringstacks.hindsight.dev")
            .await
            .expect("definition");
        let conditions = found.data["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
    })
    .await;
}

async fn apply_document(client: &Client, document: &Value) {
    let (group, version) = document["apiVersion"]
        .as_str()
        .and_then(|text| text.split_once('/'))
        .unwrap_or(("", "v1"));
    let kind = document["kind"].as_str().expect("kind");
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match document["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = document["metadata"]["name"].as_str().expect("name");
    let params = PatchParams::apply("test").force();
    api.patch(name, &params, &Patch::Apply(document))
        .await
        .expect(name);
}

/// A client with all rights.
pub(crate) async fn admin_of(kubeconfig: &Path) -> Client {
    cluster::client(kubeconfig).await.expect("admin's client")
}

/// A client with the operator's rights.
async fn operator_of(kubeconfig: &Path) -> Client {
    let mut file = Kubeconfig::read_from(kubeconfig).expect("kubeconfig");
    for user in &mut file.auth_infos {
        if let Some(user) = &mut user.auth_info {
            user.impersonate = Some(SERVICE_ACCOUNT.to_owned());
            user.impersonate_groups = Some(vec![
                "system:serviceaccounts".to_owned(),
                "system:serviceaccounts:hindsight-system".to_owned(),
                "system:authenticated".to_owned(),
            ]);
        }
    }
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .expect("config");
    Client::try_from(config).expect("operator's client")
}

async fn create_namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .expect("namespace");
}

/// A namespace that the operator may serve.
pub(crate) struct Scene {
    pub(crate) admin: Client,
    pub(crate) namespace: String,
    kubeconfig: &'static Path,
    _permit: SemaphorePermit<'static>,
}

/// A running operator.
pub(crate) struct Operator {
    pub(crate) metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Operator {
    /// Stops it and says how it ended.
    pub(crate) async fn stop(self) -> Result<(), RunError> {
        self.shutdown.cancel();
        self.task.await.expect("the operator does not panic")
    }

    /// Waits until it ends by itself and says how.
    pub(crate) async fn end(self) -> Result<(), RunError> {
        let ended = tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it ends");
        ended.expect("the operator does not panic")
    }

    /// Ends it as a crash would: at once, and without giving the lease back.
    pub(crate) fn crash(self) {
        self.task.abort();
    }
}

impl Scene {
    /// A fresh namespace; none where there is no control plane.
    pub(crate) async fn new(namespace: &str) -> Option<Self> {
        let permit = SCENES.acquire().await.expect("never closed");
        let kubeconfig = tokio::task::spawn_blocking(kubeconfig)
            .await
            .expect("start")?;
        let admin = admin_of(kubeconfig).await;
        create_namespace(&admin, namespace).await;
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": { "name": "hindsight-operator", "namespace": namespace },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "hindsight-operator-namespace",
            },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": "hindsight-operator",
                "namespace": "hindsight-system",
            }],
        });
        apply_document(&admin, &binding).await;
        // The lease lies in the test's namespace, so that every test has a leader of its own.
        let leases = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": { "name": "hindsight-operator-lease", "namespace": namespace },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "hindsight-operator-lease",
            },
            "subjects": binding["subjects"],
        });
        let roles: Api<DynamicObject> = Api::namespaced_with(
            admin.clone(),
            "hindsight-system",
            &ApiResource::from_gvk(&GroupVersionKind::gvk(
                "rbac.authorization.k8s.io",
                "v1",
                "Role",
            )),
        );
        let role = roles.get("hindsight-operator-lease").await.expect("role");
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": { "name": "hindsight-operator-lease", "namespace": namespace },
            "rules": role.data["rules"],
        });
        apply_document(&admin, &role).await;
        apply_document(&admin, &leases).await;
        Some(Self {
            admin,
            namespace: namespace.to_owned(),
            kubeconfig,
            _permit: permit,
        })
    }

    /// Starts an operator for this namespace, whose stacks may reach the whole cluster.
    pub(crate) async fn operator(&self, identity: &str) -> Operator {
        self.start(identity, &[&self.namespace], false).await
    }

    /// Starts an operator that installs the definitions of monitoring resources.
    pub(crate) async fn operator_with_definitions(&self, identity: &str) -> Operator {
        self.start(identity, &[&self.namespace], true).await
    }

    /// Starts an operator whose administrator lets no stack reach beyond its namespace.
    pub(crate) async fn operator_without_leave(&self, identity: &str) -> Operator {
        self.start(identity, &[], false).await
    }

    async fn start(
        &self,
        identity: &str,
        cluster_stacks: &[&str],
        install_coreos_crds: bool,
    ) -> Operator {
        let metrics = Arc::new(Metrics::default());
        let shutdown = CancellationToken::new();
        let config = Config {
            settings: Settings {
                cluster_stacks: cluster_stacks.iter().map(|&name| name.to_owned()).collect(),
                ..Settings::default()
            },
            namespaces: vec![self.namespace.clone()],
            namespace: self.namespace.clone(),
            identity: identity.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            install_coreos_crds,
        };
        let client = operator_of(self.kubeconfig).await;
        let task = tokio::spawn(run(client, config, Arc::clone(&metrics), shutdown.clone()));
        Operator {
            metrics,
            shutdown,
            task,
        }
    }

    pub(crate) fn stacks(&self) -> Api<MonitoringStack> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// Creates stack `demo`.
    pub(crate) async fn create(&self, spec: Value) -> MonitoringStack {
        let params = PostParams::default();
        self.stacks()
            .create(&params, &stack("demo", spec))
            .await
            .expect("stack is taken")
    }

    /// Changes stack `demo` by a merge patch of its spec.
    pub(crate) async fn change(&self, spec: Value) -> kube::Result<MonitoringStack> {
        let patch = json!({ "spec": spec });
        self.stacks()
            .patch("demo", &PatchParams::default(), &Patch::Merge(&patch))
            .await
    }

    pub(crate) async fn delete(&self) {
        self.stacks()
            .delete("demo", &DeleteParams::default())
            .await
            .expect("deleted");
    }

    /// Waits until stack `demo` has a condition with this status and reason for its present spec.
    pub(crate) async fn until_condition(&self, kind: &str, status: &str, reason: &str) -> String {
        self.until_found(kind, status, reason, "").await
    }

    /// Waits until a condition is false for this reason and says so in a message with `part` in it.
    pub(crate) async fn until_message(&self, kind: &str, reason: &str, part: &str) -> String {
        self.until_found(kind, "False", reason, part).await
    }

    async fn until_found(&self, kind: &str, status: &str, reason: &str, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stack = self.stacks().get("demo").await.expect("stack");
            let conditions = stack.status.clone().unwrap_or_default().conditions;
            let found = conditions.iter().find(|condition| {
                condition.type_ == kind
                    && condition.status == status
                    && condition.reason == reason
                    && condition.message.contains(part)
                    && condition.observed_generation == stack.metadata.generation
            });
            if let Some(found) = found {
                return found.message.clone();
            }
            assert!(
                Instant::now() < deadline,
                "{}: {kind} never {status} for {reason} {part:?}: {conditions:#?}",
                self.namespace
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        if kind.is_cluster_scoped() {
            Api::all_with(self.admin.clone(), &kind.api_resource())
        } else {
            Api::namespaced_with(self.admin.clone(), &self.namespace, &kind.api_resource())
        }
    }

    /// Kind and name of every object that carries the stack's mark.
    pub(crate) async fn objects(&self) -> Vec<(Kind, String)> {
        let mut objects = Vec::new();
        for kind in Kind::ALL {
            let mark = ListParams::default().labels("hindsight.dev/stack=demo");
            let listed = self.api(kind).list(&mark).await.expect("list");
            objects.extend(
                listed
                    .items
                    .iter()
                    .filter(|object| {
                        !kind.is_cluster_scoped()
                            || object.annotations().get("hindsight.dev/owner-namespace")
                                == Some(&self.namespace)
                    })
                    .map(|object| (kind, object.name_any())),
            );
        }
        objects.sort();
        objects
    }

    /// Shows that passes over the stack have come to write nothing.
    pub(crate) async fn assert_at_rest(&self, operator: &Operator) {
        // The pass that brought the stack here may still be telling of it.
        let mut quiet = 0;
        for attempt in 0..8 {
            let (passes, writes) = (operator.metrics.passes(), operator.metrics.writes());
            self.touch(attempt).await;
            until("the event was looked at", async || {
                operator.metrics.passes() > passes
            })
            .await;
            if operator.metrics.writes() == writes {
                quiet += 1;
            } else {
                assert_eq!(
                    quiet,
                    0,
                    "a write after rest: {}",
                    operator.metrics.encode()
                );
            }
        }
        assert!(quiet >= 5, "no rest: {}", operator.metrics.encode());
    }

    /// Changes a field of somebody else's: an event, a read, and no write.
    async fn touch(&self, value: usize) {
        let note =
            json!({ "metadata": { "annotations": { "example.com/note": value.to_string() } } });
        let services = self.api(Kind::Service);
        let patch = Patch::Merge(&note);
        services
            .patch("demo-query", &PatchParams::default(), &patch)
            .await
            .expect("annotated");
    }

    /// Waits until exactly the objects of `render` exist.
    pub(crate) async fn until_complete(&self) {
        let stack = self.stacks().get("demo").await.expect("stack");
        let wanted = rendered(&stack, &self.namespace);
        until("all rendered objects exist and no others", async || {
            self.objects().await == wanted
        })
        .await;
    }
}

/// What `render` says should exist.
fn rendered(stack: &MonitoringStack, namespace: &str) -> Vec<(Kind, String)> {
    use ::operator::controller::{build, dereference::References, mint::Minted, validate};
    let settings = Settings {
        cluster_stacks: [namespace.to_owned()].into(),
        ..Settings::default()
    };
    let valid =
        validate::validate(stack, &References::default(), &settings).expect("a valid stack");
    let desired = build::build(&valid, &Minted::placeholders());
    desired
        .objects
        .into_iter()
        .map(|object| (object.kind, object.name))
        .collect()
}

pub(crate) fn stack(name: &str, spec: Value) -> MonitoringStack {
    serde_json::from_value(json!({
        "apiVersion": "hindsight.dev/v1alpha1",
        "kind": "MonitoringStack",
        "metadata": { "name": name },
        "spec": spec,
    }))
    .expect("fits the type")
}

/// A stack with object storage that needs nothing else.
pub(crate) fn embedded() -> Value {
    json!({
        "externalLabels": { "cluster": "test" },
        "objectStorage": { "embedded": {} },
    })
}

/// The same with every kind of object that a stack can consist of.
pub(crate) fn everything() -> Value {
    let mut spec = embedded();
    spec["query"] = json!({ "autoscaling": { "max": 4, "cpu": 50, "memory": 80 } });
    spec["alertmanager"] = json!({ "enabled": true });
    spec["grafana"] = json!({ "enabled": true });
    spec["kubeStateMetrics"] = json!({ "enabled": true });
    spec["nodeExporter"] = json!({ "enabled": true });
    spec["networkPolicy"] = json!({ "clients": [{ "cidr": "10.1.0.0/16" }] });
    spec
}

/// Waits for a condition.
pub(crate) async fn until<F>(what: &str, mut is_met: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = Instant::now() + PATIENCE;
    while !is_met().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
