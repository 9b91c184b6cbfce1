//! Where Prometheus sends its samples as well.

use std::collections::BTreeSet;

use crds::MonitoringStackSpec;

use super::Check;

/// One remote-write endpoint with its credentials.
#[derive(Clone, PartialEq)]
pub struct RemoteWrite {
    pub url: String,
    pub name: Option<String>,
    pub remote_timeout: Option<String>,
    pub basic_auth: Option<(String, String)>,
    pub authorization: Option<(String, String)>,
}

impl std::fmt::Debug for RemoteWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWrite")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Check<'_> {
    pub(super) fn remote_write(&mut self, spec: &MonitoringStackSpec) -> Vec<RemoteWrite> {
        let mut names = BTreeSet::new();
        let mut endpoints = Vec::new();
        for (index, endpoint) in spec.prometheus.remote_write.iter().enumerate() {
            let path = format!("spec.prometheus.remoteWrite[{index}]");
            if !endpoint.url.starts_with("http://") && !endpoint.url.starts_with("https://") {
                self.refuse(
                    &format!("{path}.url"),
                    "must start with http:// or https://",
                );
            }
            if let Some(name) = &endpoint.name
                && !names.insert(name.clone())
            {
                self.refuse(&format!("{path}.name"), format!("{name:?} is used twice"));
            }
            if let Some(timeout) = &endpoint.remote_timeout {
                self.duration_ms(&format!("{path}.remoteTimeout"), timeout);
            }
            if endpoint.basic_auth.is_some() && endpoint.authorization.is_some() {
                self.refuse(&path, "takes at most one of basicAuth and authorization");
            }
            let basic_auth = endpoint.basic_auth.as_ref().and_then(|auth| {
                let username =
                    self.secret_text(&format!("{path}.basicAuth.username"), &auth.username);
                let password =
                    self.secret_text(&format!("{path}.basicAuth.password"), &auth.password);
                username.zip(password)
            });
            let authorization = endpoint.authorization.as_ref().and_then(|auth| {
                let at = format!("{path}.authorization.credentials");
                self.secret_text(&at, &auth.credentials)
                    .map(|text| (auth.scheme.clone(), text))
            });
            endpoints.push(RemoteWrite {
                url: endpoint.url.clone(),
                name: endpoint.name.clone(),
                remote_timeout: endpoint.remote_timeout.clone(),
                basic_auth,
                authorization,
            });
        }
        endpoints
    }
}
