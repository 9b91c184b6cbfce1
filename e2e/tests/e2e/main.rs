//! One stack on a real Kubernetes, from apply to nothing left: real Prometheus, real S3, blocks of two
//! minutes that are cut, uploaded, dropped by Prometheus and served from the bucket.
//!
//! It is one test because the stack is one: its life takes a quarter of an hour, most of it until
//! Prometheus has dropped its first blocks, and everything else is checked meanwhile.

mod border;
mod changes;
mod operator;
mod replicas;
mod scrapes;

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::machine::{Machine, OPERATOR_NAMESPACE, Programs, obstacle};
use e2e::prometheus_api::Server;
use e2e::stack::{Stack, no_restart, ready};
use e2e::wait::until;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

/// Namespace and name of the sample's stack.
const NAMESPACE: &str = "hindsight-demo";
const STACK: &str = "demo";
/// What an operator is allowed between apply and Ready.
const READY: Duration = Duration::from_secs(300);
/// What a change may take to be seen everywhere on a loaded machine.
const SOON: Duration = Duration::from_secs(180);
/// The sample's scrape interval, in milliseconds.
const INTERVAL: i64 = 5_000;

/// What all steps work with.
struct Scene {
    machine: Machine,
    client: Client,
    stack: Stack,
    querier: Server,
    started: Instant,
}

impl Scene {
    /// Says how far the scenario is, for whoever waits for it.
    fn say(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        tell(&format!("e2e [{seconds:3}s]: {what}"));
    }

    /// The Prometheus of one replica, asked directly.
    fn prometheus(&self, ordinal: usize) -> Server {
        let service = format!("{STACK}-prometheus-{ordinal}");
        Server::new(self.client.clone(), NAMESPACE, &service, "web")
    }
}

/// A line that is seen while the test runs, which what macros print is not.
fn tell(line: &str) {
    // A closed stderr is no reason to fail.
    drop(writeln!(std::io::stderr(), "{line}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_lives_from_apply_to_nothing_left() {
    let programs = match (obstacle(), Programs::from_environment()) {
        (None, Ok(programs)) => programs,
        (obstacle, programs) => {
            let missing = programs.err().map(|error| format!("{error:#}"));
            let why = obstacle.or(missing).unwrap_or_default();
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "the end-to-end scenario cannot run: {why}"
            );
            tell(&format!(
                "SKIP: the end-to-end scenario cannot run here: {why}"
            ));
            return;
        }
    };
    let machine = tokio::task::spawn_blocking(|| Machine::start(programs))
        .await
        .expect("it does not panic")
        .expect("a cluster");
    let client = machine.client().await.expect("a client");
    let scene = Scene {
        stack: Stack::new(&client, NAMESPACE, STACK),
        querier: Server::new(client.clone(), NAMESPACE, "demo-query", "http"),
        machine,
        client,
        started: Instant::now(),
    };
    let lived = live(&scene).await;
    if let Err(error) = lived {
        let explained = scene.machine.explain(NAMESPACE);
        panic!("{error:?}\n{explained}");
    }
    scene.machine.stop().expect("nothing is left");
}

async fn live(scene: &Scene) -> Result<()> {
    install(scene).await.context("install")?;
    becomes_ready(scene).await.context("become ready")?;
    scrapes::all_targets_are_up(scene).await.context("scrape")?;
    let begin = replicas::both_are_seen_as_one(scene)
        .await
        .context("deduplicate")?;
    changes::the_schema_refuses_with_words(scene)
        .await
        .context("refuse")?;
    changes::a_scrape_job_is_loaded_without_restart(scene)
        .await
        .context("change")?;
    changes::a_bad_scrape_job_changes_nothing(scene)
        .await
        .context("bad input")?;
    changes::a_bucket_may_come_late(scene)
        .await
        .context("late bucket")?;
    border::blocks_are_uploaded(scene).await.context("upload")?;
    operator::another_one_changes_nothing(scene)
        .await
        .context("replace the operator")?;
    replicas::one_may_go(scene, begin)
        .await
        .context("lose a replica")?;
    border::no_gap_where_prometheus_has_dropped_blocks(scene, begin)
        .await
        .context("cross the border")?;
    changes::an_external_label_is_loaded_without_restart(scene)
        .await
        .context("relabel")?;
    is_deleted(scene).await.context("delete")
}

/// Installs the operator as the demo does.
async fn install(scene: &Scene) -> Result<()> {
    let machine = &scene.machine;
    machine.apply_kustomization("config/crd")?;
    // The API server takes a moment to serve a new definition.
    until("the definition is served", SOON, async || {
        Ok(scene.stack.api().list(&ListParams::default()).await?)
    })
    .await?;
    machine.apply_kustomization("config/demo")?;
    scrapes::create_annotated(machine)?;
    until("the operator runs", SOON, async || {
        ready(&operator::pod(&scene.client).await?)
    })
    .await
}

async fn becomes_ready(scene: &Scene) -> Result<()> {
    let applied = Instant::now();
    scene.machine.apply("config/samples/demo.yaml")?;
    scene.stack.until_condition("Ready", "True", READY).await?;
    scene.say(&format!(
        "ready {:.1} s after apply",
        applied.elapsed().as_secs_f64()
    ));
    let pods = scene.stack.running_pods().await?;
    let names: Vec<_> = pods.iter().map(|(name, _)| name.as_str()).collect();
    ensure!(
        pods.len() == 6,
        "not two Prometheus, query, store, compact and s3: {names:?}"
    );
    no_restart(&operator::pod(&scene.client).await?)?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    for name in [NAMESPACE, OPERATOR_NAMESPACE] {
        // With this label the API server admits no pod that the profile forbids.
        let labels = namespaces
            .get(name)
            .await?
            .metadata
            .labels
            .unwrap_or_default();
        let enforced = labels.get("pod-security.kubernetes.io/enforce");
        ensure!(
            enforced.is_some_and(|profile| profile == "restricted"),
            "{name} does not enforce the restricted profile: {labels:?}"
        );
    }
    Ok(())
}

/// Deletes the stack; its volume claims are all that may be left.
async fn is_deleted(scene: &Scene) -> Result<()> {
    let stack = &scene.stack;
    let claims = stack.claims().await?;
    ensure!(
        claims.len() == 5,
        "not a claim per Prometheus, store, compact and s3: {claims:?}"
    );
    stack.api().delete(STACK, &DeleteParams::default()).await?;
    until("nothing carries the stack's label", SOON, async || {
        let left = stack.objects().await?;
        ensure!(left.is_empty(), "left: {:?}", left.keys());
        ensure!(
            stack.api().get_opt(STACK).await?.is_none(),
            "the resource is left"
        );
        Ok(())
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await?.items.len();
    ensure!(pods == 0, "{pods} pods are left");
    ensure!(
        stack.claims().await? == claims,
        "claims went with the stack"
    );
    scene.say("deleted; nothing but volume claims is left");
    Ok(())
}
