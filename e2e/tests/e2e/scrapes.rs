//! What the ready-made jobs find in a cluster.

use anyhow::{Result, ensure};
use e2e::machine::{HINDSIGHT_IMAGE, Machine};
use e2e::wait::until;
use serde_json::json;

use crate::{NAMESPACE, SOON, Scene};

/// A pod and a Service of another namespace that ask to be scraped by their annotations.
pub(crate) fn create_annotated(machine: &Machine) -> Result<()> {
    let annotations = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "10902"});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "annotated",
                "namespace": "default",
                "labels": {"app": "annotated"},
                "annotations": annotations,
            },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main",
                    "image": HINDSIGHT_IMAGE,
                    "args": ["query", "--http-address=0.0.0.0:10902"],
                }],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "annotated",
                "namespace": "default",
                "annotations": annotations,
            },
            "spec": {"selector": {"app": "annotated"}, "ports": [{"port": 10902}]},
        },
    ]});
    let file = machine.volumes().join("../annotated.json");
    std::fs::write(&file, list.to_string())?;
    machine.kubectl(&["apply", "-f", &file.to_string_lossy()])?;
    Ok(())
}

/// One selector of `up` per target that must be there, and how many series it has.
const TARGETS: [(&str, usize); 11] = [
    (r#"up{job="kubelet",metrics_path="/metrics"}"#, 1),
    (r#"up{job="kubelet",metrics_path="/metrics/cadvisor"}"#, 1),
    (r#"up{job="apiserver",service="kubernetes"}"#, 1),
    (
        r#"up{job="kubernetes-pods",namespace="default",pod="annotated"}"#,
        1,
    ),
    (
        r#"up{job="kubernetes-service-endpoints",service="annotated"}"#,
        1,
    ),
    (
        r#"up{job="kubernetes-service-endpoints",service="kube-dns"}"#,
        1,
    ),
    (r#"up{job="demo-prometheus",container="prometheus"}"#, 2),
    (r#"up{job="demo-thanos-sidecar",container="sidecar"}"#, 2),
    (r#"up{job="demo-thanos-query",container="querier"}"#, 1),
    (r#"up{job="demo-thanos-store",container="store"}"#, 1),
    (r#"up{job="demo-thanos-compact",container="compactor"}"#, 1),
];

pub(crate) async fn all_targets_are_up(scene: &Scene) -> Result<()> {
    for (selector, count) in TARGETS {
        until(
            &format!("{selector} is 1 {count} times"),
            SOON,
            async || {
                let found = scene.querier.instant(selector, true).await?.series;
                ensure!(found.len() == count, "it has {found:?}");
                for series in found {
                    ensure!(
                        series.samples.iter().all(|(_, value)| value == "1"),
                        "{series:?}"
                    );
                }
                Ok(())
            },
        )
        .await?;
    }
    let down = scene.querier.instant("up == 0", true).await?.series;
    ensure!(down.is_empty(), "targets are down: {down:?}");
    let selector = format!(
        r#"container_memory_working_set_bytes{{namespace="{NAMESPACE}",container="sidecar"}}"#
    );
    until("cAdvisor's metrics of containers", SOON, async || {
        let found = scene.querier.instant(&selector, true).await?.series.len();
        ensure!(found == 2, "{found} sidecars");
        Ok(())
    })
    .await?;
    scene.say("all targets are up");
    Ok(())
}
