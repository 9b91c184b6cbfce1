//! The discovery through a Kubernetes API server, which a stack may use no further than it reaches.

use serde_json::{Map, Value, json};

use crate::controller::validate::Reach;
use crate::coreos::job::Scope;

/// Which selectors a role takes.
const SELECTORS: [(&str, &[&str]); 6] = [
    ("pod", &["pod"]),
    ("service", &["service"]),
    ("endpointslice", &["pod", "service", "endpointslice"]),
    ("endpoints", &["pod", "service", "endpoints"]),
    ("node", &["node"]),
    ("ingress", &["ingress"]),
];

pub(super) fn namespaces(value: &Value) -> Option<Value> {
    let mut namespaces = json!({ "names": value["names"].as_array().cloned().unwrap_or_default() });
    if let Some(own) = value["ownNamespace"].as_bool() {
        namespaces["own_namespace"] = own.into();
    }
    Some(namespaces)
}

pub(super) fn selectors(value: &Value) -> Option<Value> {
    let selectors = value.as_array()?.iter().map(|selector| {
        let role = selector["role"].as_str().unwrap_or_default();
        let mut rendered = json!({ "role": role.to_ascii_lowercase() });
        for name in ["label", "field"] {
            if let Some(text) = selector[name].as_str() {
                rendered[name] = text.into();
            }
        }
        rendered
    });
    Some(selectors.collect())
}

pub(super) fn attach_metadata(value: &Value) -> Option<Value> {
    let node = value["node"].as_bool()?;
    Some(json!({ "node": node }))
}

/// Checks a discovery and narrows it to what the stack may look into. One that goes to another API
/// server brings its own credentials and its own limits.
pub(super) fn restrict(config: &mut Map<String, Value>, scope: &Scope<'_>) -> Result<(), String> {
    let role = config
        .get("role")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let Some((_, allowed)) = SELECTORS.iter().find(|(known, _)| *known == role) else {
        return Err(format!("role {role:?} does not exist"));
    };
    let mut seen = Vec::new();
    for selector in config
        .get("selectors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let of = selector["role"].as_str().unwrap_or_default();
        if !allowed.contains(&of) {
            return Err(format!(
                "selectors: role {role} takes only selectors of {}",
                allowed.join(", ")
            ));
        }
        if seen.contains(&of) {
            return Err(format!("selectors: {of} is selected twice"));
        }
        seen.push(of);
    }
    if config.contains_key("attach_metadata")
        && !["pod", "endpoints", "endpointslice"].contains(&role.as_str())
    {
        scope.warn(format!(
            "attachMetadata has no meaning with role {role} and is left out"
        ));
        config.remove("attach_metadata");
    }
    let is_foreign = config.contains_key("api_server");
    let login = [
        "tls_config",
        "basic_auth",
        "authorization",
        "oauth2",
        "bearer_token",
        "proxy_url",
        "proxy_from_environment",
        "follow_redirects",
        "enable_http2",
    ];
    if !is_foreign && let Some(field) = login.iter().find(|field| config.contains_key(**field)) {
        return Err(format!("{field} has no meaning without apiServer"));
    }
    let own_namespace = config
        .get("namespaces")
        .is_some_and(|namespaces| namespaces["own_namespace"] == true);
    if is_foreign && own_namespace {
        return Err("takes only one of apiServer and namespaces.ownNamespace".to_owned());
    }
    if is_foreign || scope.context.reach == Reach::Cluster {
        return Ok(());
    }
    if role == "node" {
        return Err(
            "role Node needs the administrator's leave: ask for the namespace in --cluster-stacks"
                .to_owned(),
        );
    }
    let names = config
        .get("namespaces")
        .and_then(|namespaces| namespaces["names"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect::<Vec<_>>();
    if names.is_empty() && own_namespace {
        return Ok(());
    }
    let names = scope.allowed(names)?;
    config.insert("namespaces".into(), json!({ "names": names }));
    Ok(())
}
