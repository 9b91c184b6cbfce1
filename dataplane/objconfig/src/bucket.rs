//! The top of the configuration.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::azure::{AzureConfig, RawAzure};
use crate::env;
use crate::error::ConfigError;
use crate::gcs::{GcsConfig, RawGcs};
use crate::s3::{RawS3, S3Config, Sse};
use crate::s3_compatible::{RawCos, RawObs, RawOss};

/// Types that exist in the field and not here, and what to write instead.
const UNSUPPORTED_TYPES: [(&str, &str); 3] = [
    (
        "SWIFT",
        "reach the same containers through Swift's S3 API: type S3 with the host of your proxy as endpoint, \
         bucket_lookup_type path, and keys from `openstack ec2 credentials create`",
    ),
    (
        "BOS",
        "reach the same bucket through its S3 API: type S3 with endpoint s3.<region>.bcebos.com, region \
         <region> and the same access_key and secret_key",
    ),
    (
        "OCI",
        "reach the same bucket through its S3 API, which takes a customer secret key of your user instead \
         of an API signing key: type S3 with endpoint \
         <namespace>.compat.objectstorage.<region>.oraclecloud.com, region <region>, bucket_lookup_type \
         path, access_key and secret_key",
    ),
];

/// Requests in all for one read where hedging does not say, and the share of reads that get no second one.
const DEFAULT_HEDGING: HedgingConfig = HedgingConfig {
    up_to: 3,
    quantile: 0.9,
};

/// A valid configuration of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Where the bucket is.
    pub provider: Provider,
    /// What all object names begin with, without slashes at its ends; empty for none.
    pub prefix: String,
    /// Whether reads that take long are asked a second time.
    pub hedging: Option<HedgingConfig>,
}

/// When a read that takes long is asked again, the first answer counting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HedgingConfig {
    /// Requests for one read, the first included.
    pub up_to: u32,
    /// A request is given this quantile of past latencies before the next one, from 0 to 1.
    pub quantile: f64,
}

// Quantiles are numbers, `parse` refuses others.
impl Eq for HedgingConfig {}

impl BucketConfig {
    /// Returns the bucket's name as metrics and messages show it.
    pub fn name(&self) -> String {
        match &self.provider {
            Provider::S3(s3) => s3.bucket.clone(),
            Provider::Gcs(gcs) => gcs.bucket.clone(),
            Provider::Azure(azure) => azure.container.clone(),
            Provider::Filesystem(filesystem) => filesystem.directory.display().to_string(),
        }
    }

    /// Returns the files that the configuration names: certificates and keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let (http, key) = match &self.provider {
            Provider::S3(s3) => {
                let key = match &s3.sse {
                    Some(Sse::Customer { encryption_key }) => Some(encryption_key.clone()),
                    _ => None,
                };
                (&s3.http_config, key)
            }
            Provider::Gcs(gcs) => (&gcs.http_config, None),
            Provider::Azure(azure) => (&azure.http_config, None),
            Provider::Filesystem(_) => return Vec::new(),
        };
        let tls = &http.tls_config;
        let files = [&tls.ca_file, &tls.cert_file, &tls.key_file];
        let files = files.into_iter().cloned().chain(key);
        files.filter(|file| !file.as_os_str().is_empty()).collect()
    }
}

/// Where a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// An S3 service, or one of another name that speaks S3.
    S3(Box<S3Config>),
    /// Google Cloud Storage.
    Gcs(Box<GcsConfig>),
    /// Azure Blob Storage.
    Azure(Box<AzureConfig>),
    /// A folder.
    Filesystem(FilesystemConfig),
}

/// A folder that serves as a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesystemConfig {
    /// The folder.
    pub directory: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    config: Option<IgnoredAny>,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    hedging_config: Option<RawHedging>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<C> {
    #[serde(rename = "type", default)]
    _kind: IgnoredAny,
    config: C,
    #[serde(rename = "prefix", default)]
    _prefix: IgnoredAny,
    #[serde(rename = "hedging_config", default)]
    _hedging_config: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHedging {
    enabled: bool,
    up_to: u32,
    quantile: f64,
}

impl Default for RawHedging {
    fn default() -> Self {
        let HedgingConfig { up_to, quantile } = DEFAULT_HEDGING;
        Self {
            enabled: false,
            up_to,
            quantile,
        }
    }
}

impl RawHedging {
    fn validate(self) -> Result<Option<HedgingConfig>, ConfigError> {
        if !self.enabled {
            return Ok(None);
        }
        if self.up_to == 0 {
            return Err(ConfigError::invalid(
                "hedging_config.up_to",
                "is 0; write how many requests a read may take in all, e.g. 3",
            ));
        }
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            return Err(ConfigError::invalid(
                "hedging_config.quantile",
                format!("{} is not between 0 and 1", self.quantile),
            ));
        }
        Ok(Some(HedgingConfig {
            up_to: self.up_to,
            quantile: self.quantile,
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFilesystem {
    directory: PathBuf,
}

/// Reads a bucket's configuration from YAML after replacing each `$(VAR)` by what `env` answers for it.
///
/// # Errors
/// Names the key that is unknown, missing or wrong, with line and column where the text has one.
pub fn parse(
    yaml: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<BucketConfig, ConfigError> {
    if yaml.trim().is_empty() {
        return Err(ConfigError::Empty);
    }
    let yaml = env::expand(yaml, env)?;
    let head: Head = typed(&yaml)?;
    if head.kind.is_empty() {
        return Err(ConfigError::invalid(
            "type",
            "is missing; use S3, GCS, AZURE or FILESYSTEM",
        ));
    }
    if head.config.is_none() {
        return Err(ConfigError::invalid("config", "is missing"));
    }
    let hedging = head.hedging_config.unwrap_or_default().validate()?;
    let provider = match head.kind.to_ascii_uppercase().as_str() {
        "S3" => Provider::S3(Box::new(body::<RawS3>(&yaml)?.validate()?)),
        "COS" => Provider::S3(Box::new(body::<RawCos>(&yaml)?.validate()?)),
        "ALIYUNOSS" => Provider::S3(Box::new(body::<RawOss>(&yaml)?.validate()?)),
        "OBS" => Provider::S3(Box::new(body::<RawObs>(&yaml)?.validate()?)),
        "GCS" => Provider::Gcs(Box::new(body::<RawGcs>(&yaml)?.validate()?)),
        "AZURE" => Provider::Azure(Box::new(body::<RawAzure>(&yaml)?.validate()?)),
        "FILESYSTEM" => {
            let directory = body::<RawFilesystem>(&yaml)?.directory;
            if directory.as_os_str().is_empty() {
                return Err(ConfigError::invalid(
                    "config.directory",
                    "is missing; name a folder",
                ));
            }
            Provider::Filesystem(FilesystemConfig { directory })
        }
        kind => {
            let unsupported = UNSUPPORTED_TYPES.iter().find(|(name, _)| *name == kind);
            return Err(match unsupported {
                Some((kind, way_out)) => ConfigError::Unsupported { kind, way_out },
                None => ConfigError::UnknownType(head.kind),
            });
        }
    };
    let prefix = head.prefix.unwrap_or_default().trim_matches('/').to_owned();
    if prefix.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(ConfigError::invalid(
            "prefix",
            format!("{prefix:?} may not hold . or .."),
        ));
    }
    Ok(BucketConfig {
        provider,
        prefix,
        hedging,
    })
}

fn body<C: DeserializeOwned>(yaml: &str) -> Result<C, ConfigError> {
    typed::<Body<C>>(yaml).map(|body| body.config)
}

fn typed<T: DeserializeOwned>(yaml: &str) -> Result<T, ConfigError> {
    // The parser would quote the lines around a mistake, and those may hold keys.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| ConfigError::Yaml(error.to_string()))
}

#[cfg(test)]
mod tests;
