//! What Prometheus checks of a discovery when it loads a configuration. It refuses the whole for one
//! wrong value, so the object must be refused before.

use serde_json::{Map, Value};

/// Values that a field must have one of.
#[rustfmt::skip]
const CHOICES: [(&str, &str, &[&str]); 8] = [
    ("azure_sd_configs", "authentication_method", &["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"]),
    ("dns_sd_configs", "type", &["A", "AAAA", "MX", "NS", "SRV"]),
    ("dockerswarm_sd_configs", "role", &["services", "tasks", "nodes"]),
    ("hetzner_sd_configs", "role", &["hcloud", "robot"]),
    ("openstack_sd_configs", "role", &["instance", "hypervisor", "loadbalancer"]),
    ("openstack_sd_configs", "availability", &["public", "internal", "admin"]),
    ("scaleway_sd_configs", "role", &["instance", "baremetal"]),
    ("consul_sd_configs", "scheme", &["http", "https"]),
];

/// Fields that hold an address with scheme and host.
const ADDRESSES: [(&str, &str); 5] = [
    ("http_sd_configs", "url"),
    ("puppetdb_sd_configs", "url"),
    ("eureka_sd_configs", "server"),
    ("kuma_sd_configs", "server"),
    ("kubernetes_sd_configs", "api_server"),
];

/// Checks a discovery as it stands in the configuration; `name` is that of its list.
pub(super) fn check(name: &str, config: &Map<String, Value>) -> Result<(), String> {
    let text = |field: &str| config.get(field).and_then(Value::as_str);
    for (_, field, allowed) in CHOICES.iter().filter(|(of, ..)| *of == name) {
        if let Some(value) = text(field)
            && !allowed.contains(&value)
        {
            return Err(format!(
                "{field} {value:?} is none of {}",
                allowed.join(", ")
            ));
        }
    }
    for (_, field) in ADDRESSES.iter().filter(|(of, _)| *of == name) {
        if let Some(value) = text(field)
            && !is_address(value)
        {
            return Err(format!(
                "{field} {value:?} must be http:// or https:// and a host"
            ));
        }
    }
    match name {
        "dns_sd_configs" => {
            let needs_port = text("type").is_some_and(|kind| kind != "SRV");
            if needs_port && config.get("port").and_then(Value::as_i64).unwrap_or(0) == 0 {
                return Err("records other than SRV need a port".to_owned());
            }
        }
        "azure_sd_configs"
            if text("authentication_method").is_none_or(|method| method == "OAuth") =>
        {
            let needed = ["tenant_id", "client_id", "client_secret"];
            if let Some(field) = needed.iter().find(|field| !config.contains_key(**field)) {
                return Err(format!("authentication by OAuth needs {field}"));
            }
        }
        "consul_sd_configs" => {
            let ways = ["token", "authorization", "oauth2"];
            if ways.iter().filter(|way| config.contains_key(**way)).count() > 1 {
                return Err("takes only one of tokenRef, authorization and oauth2".to_owned());
            }
        }
        "scaleway_sd_configs" => scaleway(&text)?,
        _ => {}
    }
    Ok(())
}

fn scaleway<'a>(text: &impl Fn(&str) -> Option<&'a str>) -> Result<(), String> {
    let is_key = |key: &str| {
        key.len() == 20
            && key.starts_with("SCW")
            && key
                .chars()
                .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
    };
    if text("access_key").is_some_and(|key| !is_key(key)) {
        return Err("accessKey must look like SCWXXXXXXXXXXXXXXXXX".to_owned());
    }
    for (field, of) in [("secret_key", "secretKey"), ("project_id", "projectID")] {
        // The value of the key is a secret.
        if text(field).is_some_and(|value| !value.is_empty() && !is_uuid(value)) {
            return Err(format!("{of} is no UUID"));
        }
    }
    let is_zone = |zone: &str| {
        let parts: Vec<&str> = zone.split('-').collect();
        let lower = |part: &str, length: usize| {
            part.len() == length && part.chars().all(|c| c.is_ascii_lowercase())
        };
        matches!(parts.as_slice(), [country, city, number]
            if lower(country, 2) && lower(city, 3) && number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()))
    };
    if text("zone").is_some_and(|zone| !is_zone(zone)) {
        return Err("zone must look like fr-par-1".to_owned());
    }
    Ok(())
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty() && !host.contains(char::is_whitespace)
    })
}
