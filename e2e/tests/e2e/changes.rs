//! Changes of a running stack: loaded without a restart, or refused with words.

use anyhow::{Context as _, Result, ensure};
use e2e::stack::Stack;
use e2e::wait::until;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::{NAMESPACE, READY, SOON, Scene};

const JOBS: &str = "more-jobs";
const JOBS_KEY: &str = "jobs.yaml";
const SELF: &str = "- job_name: more\n  static_configs:\n  - targets: ['127.0.0.1:9090']\n";
const WITH_FILE: &str = "- job_name: more\n  authorization: {credentials_file: /etc/passwd}\n  \
                         static_configs:\n  - targets: ['127.0.0.1:9090']\n";

pub(crate) async fn the_schema_refuses_with_words(scene: &Scene) -> Result<()> {
    for (spec, words) in [
        (
            json!({"sidecar": {"blockDuration": "1m"}}),
            "sidecar.blockDuration must be at least 2m",
        ),
        (
            json!({"externalLabels": null}),
            "externalLabels.cluster is required with objectStorage",
        ),
        (
            json!({"objectStorage": {"secretRef": {"name": "more"}}}),
            "objectStorage needs exactly one of secretRef and embedded",
        ),
        (
            json!({"externalLabels": {"prometheus_replica": "mine"}}),
            "externalLabels must not contain the replica label",
        ),
    ] {
        let refused = scene.stack.change(spec.clone()).await;
        let told = refused
            .err()
            .with_context(|| format!("{spec} is taken"))?
            .to_string();
        ensure!(told.contains(words), "{spec} is refused with {told:?}");
    }
    Ok(())
}

pub(crate) async fn a_scrape_job_is_loaded_without_restart(scene: &Scene) -> Result<()> {
    let before = scene.stack.running_pods().await?;
    scene.stack.write_secret(JOBS, JOBS_KEY, SELF).await?;
    let jobs = json!({"name": JOBS, "key": JOBS_KEY});
    scene
        .stack
        .change(json!({"prometheus": {"additionalScrapeConfigs": jobs}}))
        .await?;
    scene
        .stack
        .until_condition("PrometheusConfigured", "True", SOON)
        .await?;
    scene.stack.until_condition("Ready", "True", SOON).await?;
    until("both replicas scrape the new job", SOON, async || {
        let found = scene
            .querier
            .instant(r#"up{job="more"} == 1"#, false)
            .await?
            .series;
        ensure!(found.len() == 2, "it has {found:?}");
        Ok(())
    })
    .await?;
    ensure!(
        scene.stack.running_pods().await? == before,
        "pods were replaced"
    );
    scene.say("a new scrape job is loaded without a restart");
    Ok(())
}

/// A Secret that turns bad is told of by the field that names it; what runs is left as it is.
pub(crate) async fn a_bad_scrape_job_changes_nothing(scene: &Scene) -> Result<()> {
    let before = scene.stack.objects().await?;
    scene.stack.write_secret(JOBS, JOBS_KEY, WITH_FILE).await?;
    let told = scene.stack.until_condition("Stalled", "True", SOON).await?;
    for part in [
        "spec.prometheus.additionalScrapeConfigs",
        "credentials_file",
        JOBS,
    ] {
        ensure!(
            told.message.contains(part),
            "{part} is not in {:?}",
            told.message
        );
    }
    scene.stack.until_condition("Ready", "False", SOON).await?;
    let after = scene.stack.objects().await?;
    ensure!(
        after == before,
        "objects were changed: {before:?} {after:?}"
    );
    let answer = scene
        .querier
        .instant(r#"up{job="more"} == 1"#, true)
        .await?;
    answer.only().context("the job is still scraped")?;
    scene.stack.write_secret(JOBS, JOBS_KEY, SELF).await?;
    scene.stack.until_condition("Ready", "True", SOON).await?;
    let stack = scene.stack.api().get("demo").await?;
    let conditions = stack.status.unwrap_or_default().conditions;
    let stalled = conditions
        .iter()
        .any(|condition| condition.type_ == "Stalled");
    ensure!(!stalled, "it is still stalled: {conditions:?}");
    scene.say("a bad scrape job is told of and changes nothing");
    Ok(())
}

/// A second stack whose bucket is described late and wrongly at first.
pub(crate) async fn a_bucket_may_come_late(scene: &Scene) -> Result<()> {
    let stack = Stack::new(&scene.client, NAMESPACE, "second");
    open_the_bucket(scene)?;
    stack.apply(second_stack()).await?;
    let missing = stack
        .until_reason("Ready", "False", Some("SecretNotFound"), SOON)
        .await?;
    for part in [
        "spec.objectStorage.secretRef",
        "second-bucket",
        "thanos.yaml",
    ] {
        ensure!(
            missing.message.contains(part),
            "{part} is not in {:?}",
            missing.message
        );
    }
    ensure!(stack.pods().await?.is_empty(), "pods run without a bucket");

    let good = embedded_bucket(scene).await?;
    let bad = good.replace("access_key:", "acces_key:");
    ensure!(bad != good, "no access_key in the embedded storage's YAML");
    stack
        .write_secret("second-bucket", "thanos.yaml", &bad)
        .await?;
    let malformed = stack
        .until_reason("Ready", "False", Some("MalformedSecret"), SOON)
        .await?;
    ensure!(
        malformed.message.contains("acces_key"),
        "{:?}",
        malformed.message
    );
    let secret = good
        .lines()
        .find_map(|line| line.trim().strip_prefix("secret_key: "));
    let secret = secret.context("no secret_key")?.trim_matches('"');
    ensure!(
        !malformed.message.contains(secret),
        "the message shows a key"
    );

    stack
        .write_secret("second-bucket", "thanos.yaml", &good)
        .await?;
    stack.until_condition("Ready", "True", READY).await?;
    stack.running_pods().await?;
    stack
        .api()
        .delete(&stack.name, &DeleteParams::default())
        .await?;
    until("nothing of the second stack is left", SOON, async || {
        let left = stack.objects().await?;
        ensure!(left.is_empty(), "left: {:?}", left.keys());
        Ok(())
    })
    .await?;
    ensure!(
        stack.claims().await?.is_empty(),
        "an ephemeral stack has claims"
    );
    scene.say("a stack waited for its bucket, ran and went");
    Ok(())
}

fn second_stack() -> Value {
    let scratch = json!({"ephemeral": true});
    json!({
        "externalLabels": {"cluster": "second"},
        "objectStorage": {"secretRef": {"name": "second-bucket"}},
        "prometheus": {
            "replicas": 1,
            "storage": scratch,
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
            "defaultScrapes": {
                "kubelet": false, "cadvisor": false, "apiserver": false,
                "pods": false, "services": false,
            },
        },
        "store": {"storage": scratch},
        "compact": {"storage": scratch},
    })
}

/// Lets the second stack's pods reach the first's embedded server, which is closed to all but its own.
fn open_the_bucket(scene: &Scene) -> Result<()> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "second-reaches-demo-s3", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {
                "app.kubernetes.io/name": "s3", "app.kubernetes.io/instance": "demo",
            }},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {
                "app.kubernetes.io/instance": "second",
            }}}]}],
        },
    });
    let file = scene
        .machine
        .volumes()
        .join("../second-reaches-demo-s3.json");
    std::fs::write(&file, policy.to_string())?;
    scene
        .machine
        .kubectl(&["apply", "-f", &file.to_string_lossy()])?;
    Ok(())
}

/// The first stack's bucket, under a prefix of the second's own.
async fn embedded_bucket(scene: &Scene) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let secret = secrets.get("demo-objstore").await?;
    let bytes = secret
        .data
        .unwrap_or_default()
        .remove("thanos.yaml")
        .context("no thanos.yaml")?;
    let yaml = String::from_utf8(bytes.0)?;
    Ok(format!("{}\nprefix: second\n", yaml.trim_end()))
}

/// Old and new stream are told apart; the configuration is loaded without a restart.
pub(crate) async fn an_external_label_is_loaded_without_restart(scene: &Scene) -> Result<()> {
    let before = scene.stack.running_pods().await?;
    scene
        .stack
        .change(json!({"externalLabels": {"region": "north"}}))
        .await?;
    let told = scene
        .stack
        .until_condition("StreamIdentityChanged", "True", SOON)
        .await?;
    ensure!(
        told.message.contains(r#"region="north""#),
        "{:?}",
        told.message
    );
    scene
        .stack
        .until_condition("PrometheusConfigured", "True", SOON)
        .await?;
    until("series carry the new label", SOON, async || {
        let found = scene
            .querier
            .instant(r#"up{job="apiserver",region="north"}"#, false)
            .await?;
        ensure!(found.series.len() == 2, "it has {:?}", found.series);
        Ok(())
    })
    .await?;
    ensure!(
        scene.stack.running_pods().await? == before,
        "pods were replaced"
    );
    scene.say("a new external label is loaded without a restart");
    Ok(())
}
