//! ScrapeConfig: one job with static targets and any discovery.

use crds::coreos::scrape_config::ScrapeConfig;
use serde_json::{Map, Value, json};

use super::job::{Scope, no_scrape_class};
use super::relabel::{has_hashmod, job_name, relabelings, sharding};
use super::service_monitor::set_scheme;
use super::{Resource, limits, target};

mod check;
mod discovery;
mod kubernetes;

/// The job of a ScrapeConfig.
///
/// # Errors
/// Why it is left out.
pub fn job(resource: &Resource, scope: &Scope<'_>) -> Result<Value, String> {
    let config: ScrapeConfig = resource.spec()?;
    no_scrape_class(config.scrape_class.as_deref())?;
    let name = format!("scrapeConfig/{}/{}", resource.namespace, resource.name);
    let mut job = Map::from_iter([("job_name".to_owned(), Value::from(name))]);
    for (name, value) in [
        ("honor_timestamps", config.honor_timestamps),
        (
            "track_timestamps_staleness",
            config.track_timestamps_staleness,
        ),
        ("honor_labels", config.honor_labels),
        ("enable_compression", config.enable_compression),
    ] {
        if let Some(value) = value {
            job.insert(name.to_owned(), value.into());
        }
    }
    if let Some(path) = &config.metrics_path {
        job.insert("metrics_path".into(), path.as_str().into());
    }
    if !config.params.is_empty() {
        job.insert("params".into(), json!(config.params));
    }
    scope.set_times(
        &mut job,
        config.scrape_interval.as_deref(),
        config.scrape_timeout.as_deref(),
    )?;
    set_scheme(&mut job, config.scheme.as_deref())?;
    target::set_http(&mut job, &config.http, scope)?;
    target::set_proxy(&mut job, &config.proxy, scope)?;
    limits::set(&mut job, &config.limits, scope)?;
    set_names(&mut job, &config)?;
    set_static(&mut job, &config)?;
    discovery::set(&mut job, &config.discoveries, scope)?;
    let mut rules = vec![job_name()];
    if let Some(name) = &config.job_name {
        rules.push(json!({ "target_label": "job", "action": "replace", "replacement": name }));
    }
    rules.extend(relabelings("relabelings", &config.relabelings)?);
    if !has_hashmod(&rules) {
        rules.extend(sharding("__address__", scope.context.shards));
    }
    job.insert("relabel_configs".into(), rules.into());
    let rules = relabelings("metricRelabelings", &config.metric_relabelings)?;
    if !rules.is_empty() {
        job.insert("metric_relabel_configs".into(), rules.into());
    }
    Ok(Value::Object(job))
}

fn set_names(job: &mut Map<String, Value>, config: &ScrapeConfig) -> Result<(), String> {
    if let Some(scheme) = &config.name_validation_scheme {
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "utf8" && scheme != "legacy" {
            return Err(format!(
                "nameValidationScheme {scheme:?} is neither UTF8 nor Legacy"
            ));
        }
        job.insert("metric_name_validation_scheme".into(), scheme.into());
    }
    if let Some(scheme) = &config.name_escaping_scheme {
        let name = match scheme.as_str() {
            "AllowUTF8" => "allow-utf-8",
            "Underscores" => "underscores",
            "Dots" => "dots",
            "Values" => "values",
            other => return Err(format!("nameEscapingScheme {other:?} does not exist")),
        };
        job.insert("metric_name_escaping_scheme".into(), name.into());
    }
    Ok(())
}

fn set_static(job: &mut Map<String, Value>, config: &ScrapeConfig) -> Result<(), String> {
    if config.static_configs.is_empty() {
        return Ok(());
    }
    let mut groups = Vec::new();
    for (index, group) in config.static_configs.iter().enumerate() {
        if group.labels.keys().any(String::is_empty) {
            return Err(format!(
                "staticConfigs[{index}].labels: the empty text is no label name"
            ));
        }
        groups.push(json!({ "targets": group.targets, "labels": group.labels }));
    }
    job.insert("static_configs".into(), groups.into());
    Ok(())
}
