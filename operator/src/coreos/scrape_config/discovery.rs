//! Discoveries of a ScrapeConfig, each a list of mappings with names in camel case.
//!
//! Prometheus refuses a whole configuration for one unknown field, so only the fields of the table
//! below are passed on; what a newer definition adds is left out with a warning.

use crds::coreos::KeySelector;
use crds::coreos::endpoint::{HttpClient, ProxyConfig};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{check, kubernetes};
use crate::coreos::job::Scope;
use crate::coreos::target;

/// One kind of discovery.
struct Kind {
    /// Name of the list in the spec.
    field: &'static str,
    /// Name of the list in Prometheus' configuration.
    name: &'static str,
    /// Fields that keep their value under a name in snake case.
    fields: &'static [&'static str],
    /// Fields that hold a Secret's key, and the name of the value.
    secrets: &'static [(&'static str, &'static str)],
    /// Fields that must be there.
    required: &'static [&'static str],
}

/// Fields of the HTTP client, read by type.
const HTTP: [&str; 10] = [
    "tlsConfig",
    "basicAuth",
    "authorization",
    "oauth2",
    "followRedirects",
    "enableHTTP2",
    "proxyUrl",
    "noProxy",
    "proxyFromEnvironment",
    "proxyConnectHeader",
];

#[rustfmt::skip]
const KINDS: [Kind; 21] = [
    Kind { field: "httpSDConfigs", name: "http_sd_configs", fields: &["url", "refreshInterval"], secrets: &[], required: &["url"] },
    Kind { field: "kubernetesSDConfigs", name: "kubernetes_sd_configs", fields: &["apiServer", "role", "namespaces", "selectors", "attachMetadata"], secrets: &[], required: &["role"] },
    Kind { field: "consulSDConfigs", name: "consul_sd_configs", fields: &["server", "pathPrefix", "datacenter", "namespace", "partition", "scheme", "services", "tags", "tagSeparator", "nodeMeta", "filter", "healthFilter", "allowStale", "refreshInterval"], secrets: &[("tokenRef", "token")], required: &["server"] },
    Kind { field: "dnsSDConfigs", name: "dns_sd_configs", fields: &["names", "refreshInterval", "type", "port"], secrets: &[], required: &["names"] },
    Kind { field: "ec2SDConfigs", name: "ec2_sd_configs", fields: &["region", "roleARN", "refreshInterval", "port", "filters"], secrets: &[("accessKey", "access_key"), ("secretKey", "secret_key")], required: &[] },
    Kind { field: "azureSDConfigs", name: "azure_sd_configs", fields: &["environment", "authenticationMethod", "subscriptionID", "tenantID", "clientID", "resourceGroup", "refreshInterval", "port"], secrets: &[("clientSecret", "client_secret")], required: &["subscriptionID"] },
    Kind { field: "gceSDConfigs", name: "gce_sd_configs", fields: &["project", "zone", "filter", "refreshInterval", "port", "tagSeparator"], secrets: &[], required: &["project", "zone"] },
    Kind { field: "openstackSDConfigs", name: "openstack_sd_configs", fields: &["role", "region", "identityEndpoint", "username", "userid", "domainName", "domainID", "projectName", "projectID", "applicationCredentialName", "applicationCredentialId", "allTenants", "refreshInterval", "port", "availability"], secrets: &[("password", "password"), ("applicationCredentialSecret", "application_credential_secret")], required: &["role", "region"] },
    Kind { field: "digitalOceanSDConfigs", name: "digitalocean_sd_configs", fields: &["port", "refreshInterval"], secrets: &[], required: &[] },
    Kind { field: "kumaSDConfigs", name: "kuma_sd_configs", fields: &["server", "refreshInterval", "fetchTimeout", "clientID"], secrets: &[], required: &["server"] },
    Kind { field: "eurekaSDConfigs", name: "eureka_sd_configs", fields: &["server", "refreshInterval"], secrets: &[], required: &["server"] },
    Kind { field: "dockerSDConfigs", name: "docker_sd_configs", fields: &["host", "port", "hostNetworkingHost", "matchFirstNetwork", "refreshInterval", "filters"], secrets: &[], required: &["host"] },
    Kind { field: "dockerSwarmSDConfigs", name: "dockerswarm_sd_configs", fields: &["host", "role", "port", "refreshInterval", "filters"], secrets: &[], required: &["host", "role"] },
    Kind { field: "linodeSDConfigs", name: "linode_sd_configs", fields: &["port", "region", "tagSeparator", "refreshInterval"], secrets: &[], required: &[] },
    Kind { field: "hetznerSDConfigs", name: "hetzner_sd_configs", fields: &["role", "port", "refreshInterval", "labelSelector"], secrets: &[], required: &["role"] },
    Kind { field: "nomadSDConfigs", name: "nomad_sd_configs", fields: &["server", "allowStale", "namespace", "refreshInterval", "region", "tagSeparator"], secrets: &[], required: &["server"] },
    Kind { field: "puppetDBSDConfigs", name: "puppetdb_sd_configs", fields: &["url", "query", "includeParameters", "port", "refreshInterval"], secrets: &[], required: &["url", "query"] },
    Kind { field: "lightSailSDConfigs", name: "lightsail_sd_configs", fields: &["region", "endpoint", "port", "refreshInterval", "roleARN"], secrets: &[("accessKey", "access_key"), ("secretKey", "secret_key")], required: &[] },
    Kind { field: "ovhcloudSDConfigs", name: "ovhcloud_sd_configs", fields: &["applicationKey", "service", "endpoint", "refreshInterval"], secrets: &[("applicationSecret", "application_secret"), ("consumerKey", "consumer_key")], required: &["applicationKey", "applicationSecret", "consumerKey", "service", "endpoint"] },
    Kind { field: "scalewaySDConfigs", name: "scaleway_sd_configs", fields: &["accessKey", "projectID", "role", "port", "apiURL", "zone", "nameFilter", "tagsFilter", "refreshInterval"], secrets: &[("secretKey", "secret_key")], required: &["accessKey", "secretKey", "projectID", "role"] },
    Kind { field: "ionosSDConfigs", name: "ionos_sd_configs", fields: &["datacenterID", "port", "refreshInterval"], secrets: &[], required: &["datacenterID"] },
];

/// Sets every discovery of the spec's remaining fields.
///
/// # Errors
/// Where files are named, a field is missing, or a Secret is.
pub(super) fn set(
    job: &mut Map<String, Value>,
    discoveries: &Map<String, Value>,
    scope: &Scope<'_>,
) -> Result<(), String> {
    for (field, list) in discoveries {
        let Value::Array(list) = list else { continue };
        if list.is_empty() {
            continue;
        }
        if field == "fileSDConfigs" {
            return Err(
                "fileSDConfigs names files of the Prometheus pod, which is not allowed".to_owned(),
            );
        }
        let Some(kind) = KINDS.iter().find(|kind| kind.field == field) else {
            return Err(format!("{field}: this release knows no such discovery"));
        };
        let configs = list
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                config(kind, entry, scope).map_err(|problem| format!("{field}[{index}]: {problem}"))
            })
            .collect::<Result<Vec<Value>, String>>()?;
        job.insert(kind.name.to_owned(), configs.into());
    }
    Ok(())
}

fn config(kind: &Kind, entry: &Value, scope: &Scope<'_>) -> Result<Value, String> {
    let Value::Object(entry) = entry else {
        return Err("must be a mapping".to_owned());
    };
    for name in kind.required {
        let is_empty = entry.get(*name).is_none_or(|value| {
            value.as_str().is_some_and(str::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
                || value.is_null()
        });
        if is_empty {
            return Err(format!("{name} is missing"));
        }
    }
    let mut config = Map::new();
    for (name, value) in entry {
        if value.is_null() || HTTP.contains(&name.as_str()) {
            continue;
        }
        if let Some((_, target)) = kind.secrets.iter().find(|(field, _)| field == name) {
            let key =
                KeySelector::deserialize(value).map_err(|error| format!("{name}: {error}"))?;
            config.insert((*target).to_owned(), scope.secret(name, &key)?.into());
        } else if kind.fields.contains(&name.as_str()) {
            set_field(&mut config, kind, name, value, scope)?;
        } else {
            scope.warn(format!(
                "{}: this release does not know {name}, which is left out",
                kind.field
            ));
        }
    }
    let whole = Value::Object(entry.clone());
    let http = HttpClient::deserialize(&whole).map_err(|error| error.to_string())?;
    target::set_http(&mut config, &http, scope)?;
    let proxy = ProxyConfig::deserialize(&whole).map_err(|error| error.to_string())?;
    target::set_proxy(&mut config, &proxy, scope)?;
    if kind.name == "kubernetes_sd_configs" {
        kubernetes::restrict(&mut config, scope)?;
    }
    check::check(kind.name, &config)?;
    Ok(Value::Object(config))
}

fn set_field(
    config: &mut Map<String, Value>,
    kind: &Kind,
    name: &str,
    value: &Value,
    scope: &Scope<'_>,
) -> Result<(), String> {
    if name.ends_with("nterval") || name == "fetchTimeout" {
        let text = value.as_str().unwrap_or_default();
        model::parse_duration(text)
            .map_err(|_| format!("{name}: {text:?} is no duration such as 30s"))?;
    }
    let rendered = match name {
        "namespaces" => kubernetes::namespaces(value),
        "selectors" => kubernetes::selectors(value),
        "attachMetadata" => kubernetes::attach_metadata(value),
        "service" => match value.as_str() {
            Some("VPS") => Some("vps".into()),
            Some("DedicatedServer") => Some("dedicated_server".into()),
            _ => {
                return Err(format!(
                    "service {value} is neither VPS nor DedicatedServer"
                ));
            }
        },
        "role" | "scheme" | "availability" => Some(lower(value)),
        "filters" => Some(sorted(value)),
        _ => Some(value.clone()),
    };
    let Some(rendered) = rendered else {
        return Ok(());
    };
    match (kind.name, name) {
        ("hetzner_sd_configs", "labelSelector") => {
            scope.set_since(config, 5, "label_selector", rendered);
        }
        _ => {
            config.insert(snake(name), rendered);
        }
    }
    Ok(())
}

fn lower(value: &Value) -> Value {
    match value {
        Value::String(text) => text.to_ascii_lowercase().into(),
        other => other.clone(),
    }
}

/// Filters in the order of their names, so that the same set always gives the same text.
fn sorted(value: &Value) -> Value {
    let mut filters = value.as_array().cloned().unwrap_or_default();
    filters.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    filters.into()
}

/// `subscriptionID` becomes `subscription_id`.
fn snake(camel: &str) -> String {
    let mut name = String::with_capacity(camel.len() + 4);
    let mut was_upper = true;
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !was_upper {
            name.push('_');
        }
        was_upper = c.is_ascii_uppercase();
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::{HTTP, KINDS, snake};

    #[test]
    fn names_are_those_of_prometheus() {
        for (camel, expected) in [
            ("refreshInterval", "refresh_interval"),
            ("subscriptionID", "subscription_id"),
            ("roleARN", "role_arn"),
            ("apiURL", "api_url"),
            ("userid", "userid"),
            ("applicationCredentialId", "application_credential_id"),
        ] {
            assert_eq!(snake(camel), expected);
        }
    }

    /// Every discovery and every field of upstream's definition is known, or refused on purpose.
    #[test]
    fn the_table_is_complete() {
        let definition = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../config/crd/third_party/monitoring.coreos.com_scrapeconfigs.yaml"
        );
        let text = std::fs::read_to_string(definition).expect("definition");
        let definition: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
        let spec = definition
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
            .and_then(serde_json::Value::as_object)
            .expect("spec");
        let mut checked = 0;
        for (field, schema) in spec {
            if !field.ends_with("SDConfigs") || field == "fileSDConfigs" {
                continue;
            }
            let kind = KINDS.iter().find(|kind| kind.field == field);
            let kind = kind.unwrap_or_else(|| panic!("{field} is not known"));
            let properties = schema["items"]["properties"].as_object().expect("fields");
            for name in properties.keys() {
                let known = kind.fields.contains(&name.as_str())
                    || HTTP.contains(&name.as_str())
                    || kind.secrets.iter().any(|(secret, _)| secret == name);
                assert!(known, "{field}.{name} is not known");
                checked += 1;
            }
        }
        assert!(checked > 200, "only {checked} fields");
    }
}
