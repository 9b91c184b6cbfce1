//! Raw scrape configurations of the user: parsed, and refused where they could read files of the
//! Prometheus pod.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::coreos::job::unknown_variable;

/// Names of the ready-made jobs.
pub const READY_MADE_JOBS: [&str; 7] = [
    "kubelet",
    "cadvisor",
    "apiserver",
    "kubernetes-pods",
    "kubernetes-service-endpoints",
    "kube-state-metrics",
    "node-exporter",
];

/// Whether the operator itself may use `job` in `stack`'s configuration; Prometheus refuses a
/// configuration that has one name twice.
fn is_reserved(job: &str, stack: &str) -> bool {
    const MONITORS: [&str; 4] = ["serviceMonitor/", "podMonitor/", "probe/", "scrapeConfig/"];
    READY_MADE_JOBS.contains(&job)
        || MONITORS.iter().any(|prefix| job.starts_with(prefix))
        || job.strip_prefix(stack).is_some_and(|rest| {
            ["-prometheus", "-alertmanager", "-grafana"].contains(&rest)
                || rest.starts_with("-thanos-")
        })
}

/// Parses a YAML list of scrape configurations.
///
/// # Errors
/// What is wrong, with the job and the key, for the author of the stack.
pub fn parse(yaml: &str, stack: &str) -> Result<Vec<Value>, String> {
    // The parser's message would quote the document, which may hold credentials.
    let document: Value =
        serde_saphyr::from_str(yaml).map_err(|_| "is not valid YAML".to_owned())?;
    let Value::Array(configs) = document else {
        return Err("must be a YAML list of scrape configurations".to_owned());
    };
    let mut jobs = BTreeSet::new();
    for (index, config) in configs.iter().enumerate() {
        let Some(job) = config.get("job_name").and_then(Value::as_str) else {
            return Err(format!("entry {index} has no job_name"));
        };
        if !jobs.insert(job) {
            return Err(format!("job_name {job:?} is used twice"));
        }
        if is_reserved(job, stack) {
            return Err(format!(
                "job_name {job:?} is the operator's own; choose another"
            ));
        }
        check(config, job, "")?;
    }
    Ok(configs)
}

fn check(value: &Value, job: &str, path: &str) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                if names_a_file(key) {
                    return Err(format!(
                        "job {job:?}: {path} names a file of the Prometheus pod, which is not allowed"
                    ));
                }
                check(field, job, &path)?;
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check(item, job, &format!("{path}[{i}]"))),
        Value::String(text) => match unknown_variable(text) {
            Some(name) => Err(format!(
                "job {job:?}: {path} uses $({name}); only $(POD_NAME) and $(SHARD) are known"
            )),
            None => Ok(()),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn names_a_file(key: &str) -> bool {
    key.ends_with("_file") || key.ends_with("_files") || key == "files" || key == "file_sd_configs"
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_list_of_jobs_is_taken_as_it_is() {
        let configs = parse(
            "- job_name: blackbox\n  params: {module: [http_2xx]}\n  relabel_configs:\n  - replacement: $1:9115\n    target_label: pod\n  - replacement: $(POD_NAME)\n    target_label: scraper\n",
            "demo",
        )
        .expect("valid");
        assert_eq!(configs.len(), 1);
        assert_eq!(configs[0]["relabel_configs"][0]["replacement"], "$1:9115");
    }

    #[test]
    fn every_way_to_name_a_file_is_refused() {
        for (yaml, key) in [
            (
                "- job_name: a\n  bearer_token_file: /etc/passwd\n",
                "bearer_token_file",
            ),
            (
                "- job_name: a\n  tls_config: {ca_file: /x}\n",
                "tls_config.ca_file",
            ),
            (
                "- job_name: a\n  file_sd_configs: [{files: [/x]}]\n",
                "file_sd_configs",
            ),
            (
                "- job_name: a\n  basic_auth: {password_file: /x}\n",
                "basic_auth.password_file",
            ),
            (
                "- job_name: a\n  http_headers: {X: {files: [/x]}}\n",
                "http_headers.X.files",
            ),
            (
                "- job_name: a\n  kubernetes_sd_configs: [{kubeconfig_file: /x}]\n",
                "kubeconfig_file",
            ),
        ] {
            let problem = parse(yaml, "demo").expect_err(yaml);
            assert!(problem.contains(key), "{problem}");
            assert!(!problem.contains("/etc/passwd"), "{problem}");
        }
    }

    #[test]
    fn malformed_lists_say_what_is_missing() {
        for (yaml, problem) in [
            (
                "job_name: a",
                "must be a YAML list of scrape configurations",
            ),
            ("- scheme: http", "entry 0 has no job_name"),
            (
                "- job_name: a\n- job_name: a",
                "job_name \"a\" is used twice",
            ),
            (
                "- job_name: a\n  b: $(HOME)",
                "job \"a\": b uses $(HOME); only $(POD_NAME) and $(SHARD) are known",
            ),
            (
                "- job_name: demo-thanos-query",
                "job_name \"demo-thanos-query\" is the operator's own; choose another",
            ),
            (
                "- job_name: kubelet",
                "job_name \"kubelet\" is the operator's own; choose another",
            ),
            ("- [", "is not valid YAML"),
        ] {
            assert_eq!(parse(yaml, "demo"), Err(problem.to_owned()));
        }
    }
}
