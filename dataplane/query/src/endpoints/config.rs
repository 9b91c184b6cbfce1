//! Which endpoints there are: from flags and from files.

use std::path::{Path, PathBuf};

use runtime::content::PathOrContent;
use runtime::tls::{ClientTlsConfig, TlsVersion};
use serde::Deserialize;

use super::address::{Address, Lookup, ParseAddressError};

/// One configured endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    pub address: Address,
    /// Always asked, whether or not it answered lately.
    pub strict: bool,
    pub client: ClientSpec,
}

impl EndpointSpec {
    /// Returns the endpoint that a flag's `text` names.
    ///
    /// # Errors
    /// A text that is no address, or a strict one whose address can change.
    pub fn parse(
        text: &str,
        strict: bool,
        client: ClientSpec,
    ) -> Result<Self, EndpointConfigError> {
        let address: Address = text.parse()?;
        if strict && address.lookup != Lookup::Static {
            return Err(EndpointConfigError::Endpoint {
                name: "flag".into(),
                address: text.to_owned(),
                reason: STRICT_IS_STATIC,
            });
        }
        Ok(Self {
            address,
            strict,
            client,
        })
    }
}

const STRICT_IS_STATIC: &str = "a strict endpoint needs a static address, not a DNS look-up";

/// How an endpoint is dialled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSpec {
    pub tls: Option<ClientTlsConfig>,
}

/// Where endpoints are configured.
#[derive(Debug, Clone, Default)]
pub struct EndpointSources {
    /// From `--endpoint` and its variants.
    pub fixed: Vec<EndpointSpec>,
    /// From `--endpoint.sd-config` or its file.
    pub sd_config: PathOrContent,
    /// From `--store.sd-files`: paths whose last part may hold `*`.
    pub sd_files: Vec<PathBuf>,
    /// How endpoints are dialled that do not say so themselves.
    pub default_client: ClientSpec,
}

/// Why endpoint configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointConfigError {
    #[error(transparent)]
    Content(#[from] runtime::content::ContentError),
    #[error(transparent)]
    Address(#[from] ParseAddressError),
    #[error("{name}: {reason}")]
    Syntax { name: String, reason: String },
    #[error("{name}: endpoint {address:?}: {reason}")]
    Endpoint {
        name: String,
        address: String,
        reason: &'static str,
    },
    #[error("reading {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SdConfig {
    #[serde(default)]
    default_client_config: Option<ClientConfig>,
    #[serde(default)]
    endpoints: Vec<SdEndpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SdEndpoint {
    address: String,
    #[serde(default)]
    strict: bool,
    /// The members of a group hold the same data; they are asked one by one and their equal chunks
    /// dropped, so the answer is that of one of them.
    #[serde(default)]
    #[expect(dead_code, reason = "see above")]
    group: bool,
    #[serde(default)]
    service_config: Option<String>,
    #[serde(default)]
    client_config: Option<ClientConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientConfig {
    #[serde(default)]
    tls_config: Option<TlsConfig>,
    #[serde(default)]
    server_name: String,
    /// Named for compatibility; frames are small beside the chunks, which are compressed already.
    #[serde(default)]
    compression: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsConfig {
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    insecure_skip_verify: bool,
    #[serde(default)]
    cert_file: String,
    #[serde(default)]
    key_file: String,
    #[serde(default)]
    ca_file: String,
    #[serde(default)]
    min_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetGroup {
    targets: Vec<String>,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "part of the format; labels of targets mean nothing here"
    )]
    labels: std::collections::BTreeMap<String, String>,
}

impl EndpointSources {
    /// Returns the files and, where names hold `*`, the folders to watch.
    pub fn files(&self) -> Vec<PathBuf> {
        let watched = self.sd_files.iter().map(|pattern| match pattern.parent() {
            Some(folder) if pattern.to_string_lossy().contains('*') => folder.to_owned(),
            _ => pattern.clone(),
        });
        self.sd_config.path.iter().cloned().chain(watched).collect()
    }

    /// Reads all sources anew. An address named twice counts once; strictness of either wins.
    ///
    /// # Errors
    /// A source that cannot be read or understood; the caller keeps what it had.
    pub fn load(&self) -> Result<Vec<EndpointSpec>, EndpointConfigError> {
        let mut specs: Vec<EndpointSpec> = Vec::new();
        let mut add =
            |spec: EndpointSpec| match specs.iter_mut().find(|known| known.address == spec.address)
            {
                Some(known) => known.strict |= spec.strict,
                None => specs.push(spec),
            };
        self.fixed.iter().cloned().for_each(&mut add);
        if let Some(text) = self.sd_config.load()? {
            let name = match &self.sd_config.path {
                Some(path) => path.display().to_string(),
                None => "endpoint.sd-config".to_owned(),
            };
            parse_sd_config(&name, &text, &self.default_client)?
                .into_iter()
                .for_each(&mut add);
        }
        for path in self.sd_files.iter().map(|pattern| expand(pattern)) {
            for path in path? {
                let text =
                    std::fs::read_to_string(&path).map_err(|source| EndpointConfigError::Read {
                        path: path.clone(),
                        source,
                    })?;
                let name = path.display().to_string();
                for address in parse_targets(&name, &text)? {
                    add(EndpointSpec {
                        address,
                        strict: false,
                        client: self.default_client.clone(),
                    });
                }
            }
        }
        Ok(specs)
    }
}

fn parse_sd_config(
    name: &str,
    text: &str,
    fallback: &ClientSpec,
) -> Result<Vec<EndpointSpec>, EndpointConfigError> {
    let config: SdConfig = from_yaml(name, text)?;
    let default = match &config.default_client_config {
        Some(client) => client_spec(name, client)?,
        None => fallback.clone(),
    };
    config
        .endpoints
        .into_iter()
        .map(|endpoint| {
            let refused = |reason| EndpointConfigError::Endpoint {
                name: name.to_owned(),
                address: endpoint.address.clone(),
                reason,
            };
            let address: Address = endpoint.address.parse()?;
            if endpoint.strict && address.lookup != Lookup::Static {
                return Err(refused(STRICT_IS_STATIC));
            }
            if endpoint
                .service_config
                .as_deref()
                .is_some_and(|text| !text.is_empty())
            {
                return Err(refused(
                    "service_config is not supported; list the endpoints instead",
                ));
            }
            let client = match &endpoint.client_config {
                Some(client) => client_spec(name, client)?,
                None => default.clone(),
            };
            Ok(EndpointSpec {
                address,
                strict: endpoint.strict,
                client,
            })
        })
        .collect()
}

fn client_spec(name: &str, config: &ClientConfig) -> Result<ClientSpec, EndpointConfigError> {
    let refused = |reason: String| EndpointConfigError::Syntax {
        name: name.to_owned(),
        reason,
    };
    if !matches!(config.compression.as_str(), "" | "none" | "snappy") {
        return Err(refused(format!(
            "unknown compression {:?}",
            config.compression
        )));
    }
    let file = |path: &str| (!path.is_empty()).then(|| PathBuf::from(path));
    let Some(tls) = config
        .tls_config
        .as_ref()
        .filter(|tls| tls.enabled.unwrap_or(true))
    else {
        return Ok(ClientSpec::default());
    };
    let min_version = match tls.min_version.as_str() {
        "" => TlsVersion::default(),
        text => text
            .parse()
            .map_err(|error: runtime::tls::TlsError| refused(error.to_string()))?,
    };
    Ok(ClientSpec {
        tls: Some(ClientTlsConfig {
            ca_file: file(&tls.ca_file),
            cert_file: file(&tls.cert_file),
            key_file: file(&tls.key_file),
            server_name: (!config.server_name.is_empty()).then(|| config.server_name.clone()),
            insecure_skip_verify: tls.insecure_skip_verify,
            min_version,
        }),
    })
}

/// Reads Prometheus' file service discovery, YAML or JSON.
fn parse_targets(name: &str, text: &str) -> Result<Vec<Address>, EndpointConfigError> {
    let groups: Vec<TargetGroup> = from_yaml(name, text)?;
    let targets = groups.into_iter().flat_map(|group| group.targets);
    targets.map(|target| Ok(target.parse()?)).collect()
}

fn from_yaml<T: serde::de::DeserializeOwned>(
    name: &str,
    text: &str,
) -> Result<T, EndpointConfigError> {
    serde_saphyr::from_str(text).map_err(|error| EndpointConfigError::Syntax {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

/// Returns the files that `pattern` means, sorted; `*` may stand in its last part.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, EndpointConfigError> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let Some((prefix, suffix)) = name.split_once('*') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let folder = pattern
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let failed = |source| EndpointConfigError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?.file_name();
        let fits = entry.to_str().is_some_and(|name| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.ends_with(suffix))
        });
        if fits {
            found.push(folder.join(entry));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<EndpointSpec>, String> {
        parse_sd_config("sd.yaml", text, &ClientSpec::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn endpoints_have_their_own_or_the_default_client() {
        let specs = parse(
            "default_client_config:\n  tls_config:\n    enabled: true\n    ca_file: /ca.crt\n  \
             server_name: stack.ns.hindsight.internal\nendpoints:\n- address: \
             dnssrv+_grpc._tcp.demo-storeapi.ns.svc\n- address: other:10901\n  strict: true\n  \
             client_config:\n    tls_config:\n      enabled: false\n",
        )
        .expect("valid");
        let tls = specs[0].client.tls.as_ref().expect("tls");
        assert_eq!(tls.ca_file.as_deref(), Some(Path::new("/ca.crt")));
        assert_eq!(
            tls.server_name.as_deref(),
            Some("stack.ns.hindsight.internal")
        );
        assert_eq!(
            (specs[1].strict, &specs[1].client),
            (true, &ClientSpec::default())
        );
    }

    #[test]
    fn wrong_files_are_refused_by_name() {
        for (text, reason) in [
            ("endpoints:\n- adress: x:1\n", "adress"),
            (
                "endpoints:\n- address: dns+x:1\n  strict: true\n",
                "needs a static address",
            ),
            ("endpoints:\n- address: x\n", "port is missing"),
            ("endpoints: 3\n", "sd.yaml"),
            (
                "default_client_config:\n  tls_config:\n    min_version: '1.0'\n",
                "is no TLS version",
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn files_are_merged_and_patterns_expanded() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("a.yaml"), "- targets: ['a:1', 'b:1']\n").expect("write");
        std::fs::write(
            dir.path().join("b.yaml"),
            r#"[{"targets":["b:1"],"labels":{"x":"y"}}]"#,
        )
        .expect("write");
        std::fs::write(dir.path().join("c.json"), "[]").expect("write");
        let sources = EndpointSources {
            fixed: vec![EndpointSpec {
                address: "a:1".parse().expect("address"),
                strict: true,
                client: ClientSpec::default(),
            }],
            sd_files: vec![dir.path().join("*.yaml")],
            ..EndpointSources::default()
        };
        let specs = sources.load().expect("loads");
        let shown: Vec<_> = specs
            .iter()
            .map(|spec| (spec.address.to_string(), spec.strict))
            .collect();
        assert_eq!(shown, [("a:1".to_owned(), true), ("b:1".to_owned(), false)]);
    }
}
