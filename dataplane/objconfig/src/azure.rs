//! A container of Azure Blob Storage.

use std::time::Duration;

use serde::Deserialize;

use crate::error::ConfigError;
use crate::http_config::{HttpConfig, duration};
use crate::secret::Secret;

/// The public cloud's.
const DEFAULT_ENDPOINT: &str = "blob.core.windows.net";

/// The account that every emulator has, with its well-known key.
const EMULATOR: &str = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;\
     AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;\
     BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1";

/// A valid configuration of an Azure container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureConfig {
    /// The container's name.
    pub container: String,
    /// The storage account.
    pub account: String,
    /// Where the account's blobs are: scheme, host and perhaps a path.
    pub url: String,
    /// How requests prove who asks.
    pub credentials: AzureCredentials,
    /// Makes the container where there is none.
    pub create_container: bool,
    /// How requests are tried again.
    pub retry: AzureRetry,
    /// The HTTP client.
    pub http_config: HttpConfig,
}

/// How requests prove who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureCredentials {
    /// With the account's key.
    Key(Secret<String>),
    /// With a shared access signature, as a query string.
    SharedAccessSignature(Secret<String>),
    /// As an application of a tenant.
    ClientSecret {
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: Secret<String>,
    },
    /// As the identity of that client id which the machine has.
    ManagedIdentity(String),
    /// What the environment offers: an application, a workload identity, or the machine's identity.
    Environment,
}

/// How requests are tried again; `None` for the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AzureRetry {
    /// Tries after the first.
    pub retries: Option<u32>,
    /// How long all tries of one request may take.
    pub timeout: Option<Duration>,
    /// The wait before the second try.
    pub first_backoff: Option<Duration>,
    /// The longest wait.
    pub max_backoff: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAzure {
    az_tenant_id: String,
    client_id: String,
    client_secret: Secret<String>,
    storage_account: String,
    storage_account_key: Secret<String>,
    storage_connection_string: Secret<String>,
    storage_create_container: bool,
    container: String,
    endpoint: String,
    user_assigned_id: String,
    max_retries: u32,
    reader_config: RawReader,
    pipeline_config: RawPipeline,
    http_config: HttpConfig,
    msi_resource: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawReader {
    max_retry_requests: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPipeline {
    max_tries: u32,
    #[serde(deserialize_with = "duration")]
    try_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    retry_delay: Duration,
    #[serde(deserialize_with = "duration")]
    max_retry_delay: Duration,
}

impl Default for RawAzure {
    fn default() -> Self {
        Self {
            az_tenant_id: String::new(),
            client_id: String::new(),
            client_secret: Secret::default(),
            storage_account: String::new(),
            storage_account_key: Secret::default(),
            storage_connection_string: Secret::default(),
            storage_create_container: true,
            container: String::new(),
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            user_assigned_id: String::new(),
            max_retries: 0,
            reader_config: RawReader::default(),
            pipeline_config: RawPipeline::default(),
            http_config: HttpConfig::default(),
            msi_resource: String::new(),
        }
    }
}

impl RawAzure {
    pub(crate) fn validate(self) -> Result<AzureConfig, ConfigError> {
        if self.container.is_empty() {
            return Err(ConfigError::invalid(
                "config.container",
                "is missing; name the container",
            ));
        }
        if !self.msi_resource.is_empty() {
            return Err(ConfigError::invalid(
                "config.msi_resource",
                "is obsolete and has no effect in Thanos either; remove the key",
            ));
        }
        let (account, url, credentials) = if self.storage_connection_string.is_empty() {
            self.separate_keys()?
        } else {
            self.connection_string()?
        };
        let given = |wait: Duration| (wait > Duration::ZERO).then_some(wait);
        let pipeline = &self.pipeline_config;
        // Each of the three bounds the tries of a request; the largest that is given holds.
        let retries = self
            .max_retries
            .max(pipeline.max_tries)
            .max(self.reader_config.max_retry_requests);
        let retry = AzureRetry {
            retries: (retries > 0).then_some(retries),
            timeout: given(pipeline.try_timeout),
            first_backoff: given(pipeline.retry_delay),
            max_backoff: given(pipeline.max_retry_delay),
        };
        Ok(AzureConfig {
            container: self.container,
            account,
            url,
            credentials,
            create_container: self.storage_create_container,
            retry,
            http_config: self.http_config,
        })
    }

    fn separate_keys(&self) -> Result<(String, String, AzureCredentials), ConfigError> {
        if self.storage_account.is_empty() {
            return Err(ConfigError::invalid(
                "config.storage_account",
                "is missing; name the storage account",
            ));
        }
        if self.endpoint.is_empty() || self.endpoint.contains('/') {
            return Err(ConfigError::invalid(
                "config.endpoint",
                format!(
                    "{:?} is no host; write e.g. {DEFAULT_ENDPOINT}, or give the whole address as \
                     BlobEndpoint in storage_connection_string",
                    self.endpoint
                ),
            ));
        }
        let url = format!("https://{}.{}", self.storage_account, self.endpoint);
        Ok((self.storage_account.clone(), url, self.credentials()?))
    }

    fn credentials(&self) -> Result<AzureCredentials, ConfigError> {
        let assigned = !self.user_assigned_id.is_empty();
        if !self.storage_account_key.is_empty() {
            if assigned {
                return Err(ConfigError::invalid(
                    "config.user_assigned_id",
                    "excludes storage_account_key; leave one of them out",
                ));
            }
            return Ok(AzureCredentials::Key(self.storage_account_key.clone()));
        }
        let parts = [
            ("config.az_tenant_id", self.az_tenant_id.is_empty()),
            ("config.client_id", self.client_id.is_empty()),
            ("config.client_secret", self.client_secret.is_empty()),
        ];
        if parts.iter().all(|(_, missing)| *missing) {
            return Ok(match assigned {
                true => AzureCredentials::ManagedIdentity(self.user_assigned_id.clone()),
                false => AzureCredentials::Environment,
            });
        }
        if assigned {
            return Err(ConfigError::invalid(
                "config.user_assigned_id",
                "excludes az_tenant_id, client_id and client_secret; leave one of them out",
            ));
        }
        match parts.iter().find(|(_, missing)| *missing) {
            Some((key, _)) => Err(ConfigError::invalid(
                key,
                "is missing; az_tenant_id, client_id and client_secret go together",
            )),
            None => Ok(AzureCredentials::ClientSecret {
                tenant_id: self.az_tenant_id.clone(),
                client_id: self.client_id.clone(),
                client_secret: self.client_secret.clone(),
            }),
        }
    }

    fn connection_string(&self) -> Result<(String, String, AzureCredentials), ConfigError> {
        const KEY: &str = "config.storage_connection_string";
        if !self.storage_account_key.is_empty() || !self.user_assigned_id.is_empty() {
            return Err(ConfigError::invalid(
                KEY,
                "excludes storage_account_key and user_assigned_id; leave one of them out",
            ));
        }
        let mut text = self.storage_connection_string.expose().as_str();
        if text.trim_end_matches(';') == "UseDevelopmentStorage=true" {
            text = EMULATOR;
        }
        let part = |wanted: &str| {
            let mut parts = text.split(';').filter_map(|part| part.split_once('='));
            parts
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        let account = part("AccountName").unwrap_or(&self.storage_account);
        if account.is_empty() {
            return Err(ConfigError::invalid(
                KEY,
                "lacks AccountName, and storage_account is not given either",
            ));
        }
        let url = match part("BlobEndpoint") {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let scheme = part("DefaultEndpointsProtocol").unwrap_or("https");
                let suffix = part("EndpointSuffix").unwrap_or("core.windows.net");
                format!("{scheme}://{account}.blob.{suffix}")
            }
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ConfigError::invalid(
                KEY,
                "holds a BlobEndpoint without http:// or https://",
            ));
        }
        let credentials = match (part("AccountKey"), part("SharedAccessSignature")) {
            (Some(key), _) => AzureCredentials::Key(Secret::new(key.to_owned())),
            (None, Some(signature)) => AzureCredentials::SharedAccessSignature(Secret::new(
                signature.trim_start_matches('?').to_owned(),
            )),
            (None, None) => {
                return Err(ConfigError::invalid(
                    KEY,
                    "lacks AccountKey and SharedAccessSignature; give one of them",
                ));
            }
        };
        Ok((account.to_owned(), url, credentials))
    }
}
