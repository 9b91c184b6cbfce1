//! Probe: one job whose targets are handed to a prober.

use std::collections::BTreeMap;

use crds::coreos::probe::{IngressTargets, Probe, StaticTargets};
use serde_json::{Map, Value, json};

use super::job::{Scope, no_scrape_class};
use super::relabel::{copy, job_name, relabelings, set, sharding};
use super::service_monitor::set_scheme;
use super::{Resource, limits, selector, target};

/// The job of a Probe.
///
/// # Errors
/// Why it is left out.
pub fn job(resource: &Resource, scope: &Scope<'_>) -> Result<Value, String> {
    let probe: Probe = resource.spec()?;
    no_scrape_class(probe.scrape_class.as_deref())?;
    check_prober(&probe.prober.url)?;
    let name = format!("probe/{}/{}", resource.namespace, resource.name);
    let path = probe.prober.path.as_deref().unwrap_or_default();
    let mut job = Map::from_iter([
        ("job_name".to_owned(), Value::from(name)),
        ("honor_timestamps".to_owned(), true.into()),
        (
            "metrics_path".to_owned(),
            if path.is_empty() { "/probe" } else { path }.into(),
        ),
    ]);
    scope.set_times(
        &mut job,
        probe.interval.as_deref(),
        probe.scrape_timeout.as_deref(),
    )?;
    set_scheme(&mut job, probe.prober.scheme.as_deref())?;
    set_params(&mut job, &probe);
    limits::set(&mut job, &probe.limits, scope)?;
    target::set_proxy(&mut job, &probe.prober.proxy, scope)?;
    target::set_http(&mut job, &probe.http, scope)?;
    let mut rules = vec![job_name()];
    if let Some(name) = probe.job_name.as_ref().filter(|name| !name.is_empty()) {
        rules.push(set("job", name));
    }
    let prober = probe.prober.url.as_str();
    match (&probe.targets.static_config, &probe.targets.ingress) {
        (Some(targets), _) => {
            rules.extend(static_targets(&mut job, resource, targets, prober)?);
        }
        (None, Some(targets)) => rules.extend(ingresses(&mut job, targets, prober, scope)?),
        (None, None) => return Err("targets has neither staticConfig nor ingress".to_owned()),
    }
    rules.extend(sharding("__param_target", scope.context.shards));
    job.insert("relabel_configs".into(), rules.into());
    let rules = relabelings("metricRelabelings", &probe.metric_relabelings)?;
    if !rules.is_empty() {
        job.insert("metric_relabel_configs".into(), rules.into());
    }
    Ok(Value::Object(job))
}

fn set_params(job: &mut Map<String, Value>, probe: &Probe) {
    let mut params = BTreeMap::new();
    for param in &probe.params {
        params.insert(param.name.clone(), param.values.clone());
    }
    if let Some(module) = probe.module.as_ref().filter(|module| !module.is_empty()) {
        params.insert("module".to_owned(), vec![module.clone()]);
    }
    if !params.is_empty() {
        job.insert("params".into(), json!(params));
    }
}

fn static_targets(
    job: &mut Map<String, Value>,
    resource: &Resource,
    targets: &StaticTargets,
    prober: &str,
) -> Result<Vec<Value>, String> {
    if targets.targets.is_empty() {
        return Err("targets.staticConfig.static is empty".to_owned());
    }
    let mut labels = targets.labels.clone();
    if let Some(name) = labels.keys().find(|name| name.is_empty()) {
        return Err(format!(
            "targets.staticConfig.labels: {name:?} is no label name"
        ));
    }
    labels
        .entry("namespace".to_owned())
        .or_insert_with(|| resource.namespace.clone());
    job.insert(
        "static_configs".into(),
        json!([{ "targets": targets.targets, "labels": labels }]),
    );
    let mut rules = vec![
        copy("__address__", "__param_target"),
        copy("__param_target", "instance"),
        set("__address__", prober),
    ];
    rules.extend(relabelings(
        "targets.staticConfig.relabelingConfigs",
        &targets.relabeling_configs,
    )?);
    Ok(rules)
}

fn ingresses(
    job: &mut Map<String, Value>,
    targets: &IngressTargets,
    prober: &str,
    scope: &Scope<'_>,
) -> Result<Vec<Value>, String> {
    selector::check(&targets.selector)?;
    let discovery = scope.discovery("ingress", &targets.namespace_selector)?;
    job.insert("kubernetes_sd_configs".into(), json!([discovery]));
    let mut rules = selector::relabelings(&targets.selector, "ingress");
    rules.extend([
        json!({
            "source_labels": [
                "__meta_kubernetes_ingress_scheme",
                "__address__",
                "__meta_kubernetes_ingress_path",
            ],
            "separator": ";",
            "regex": "(.+);(.+);(.+)",
            "target_label": "__param_target",
            "replacement": "${1}://${2}${3}",
            "action": "replace",
        }),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_ingress_name", "ingress"),
        json!({
            "source_labels": ["__address__"],
            "separator": ";",
            "regex": "(.*)",
            "target_label": "__tmp_ingress_address",
            "replacement": "$1",
            "action": "replace",
        }),
        copy("__param_target", "instance"),
        set("__address__", prober),
    ]);
    rules.extend(relabelings(
        "targets.ingress.relabelingConfigs",
        &targets.relabeling_configs,
    )?);
    Ok(rules)
}

/// A prober is a host or a host and port, and nothing else.
fn check_prober(url: &str) -> Result<(), String> {
    let problem = || format!("prober.url {url:?} must be a host, or a host and port");
    if url.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = match url.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (url, None),
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => port.is_some() && address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_dns_name(host),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if is_host && is_port {
        Ok(())
    } else {
        Err(problem())
    }
}

fn is_dns_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}
