//! The top of the configuration.

use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::env;
use crate::error::ConfigError;
use crate::s3::{RawS3, S3Config};

/// Types that exist in the field and not here.
const UNSUPPORTED_TYPES: [&str; 8] = [
    "GCS",
    "AZURE",
    "SWIFT",
    "COS",
    "ALIYUNOSS",
    "BOS",
    "OCI",
    "OBS",
];

/// A valid configuration of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketConfig {
    /// Where the bucket is.
    pub provider: Provider,
    /// What all object names begin with, without slashes at its ends; empty for none.
    pub prefix: String,
}

impl BucketConfig {
    /// Returns the bucket's name as metrics and messages show it.
    pub fn name(&self) -> String {
        match &self.provider {
            Provider::S3(s3) => s3.bucket.clone(),
            Provider::Filesystem(filesystem) => filesystem.directory.display().to_string(),
        }
    }
}

/// Where a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// An S3 service.
    S3(Box<S3Config>),
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHedging {
    enabled: bool,
    up_to: u32,
    quantile: f64,
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
            "is missing; use S3 or FILESYSTEM",
        ));
    }
    if head.config.is_none() {
        return Err(ConfigError::invalid("config", "is missing"));
    }
    if let Some(hedging) = head.hedging_config
        && hedging.enabled
    {
        let _ = (hedging.up_to, hedging.quantile);
        return Err(ConfigError::invalid(
            "hedging_config.enabled",
            "hedged requests are not supported yet; set it to false",
        ));
    }
    let provider = match head.kind.to_ascii_uppercase().as_str() {
        "S3" => {
            let body: Body<RawS3> = typed(&yaml)?;
            Provider::S3(Box::new(body.config.validate()?))
        }
        "FILESYSTEM" => {
            let body: Body<RawFilesystem> = typed(&yaml)?;
            let directory = body.config.directory;
            if directory.as_os_str().is_empty() {
                return Err(ConfigError::invalid(
                    "config.directory",
                    "is missing; name a folder",
                ));
            }
            Provider::Filesystem(FilesystemConfig { directory })
        }
        kind if UNSUPPORTED_TYPES.contains(&kind) => {
            return Err(ConfigError::Unsupported(kind.to_owned()));
        }
        _ => return Err(ConfigError::UnknownType(head.kind)),
    };
    let prefix = head.prefix.unwrap_or_default().trim_matches('/').to_owned();
    if prefix.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(ConfigError::invalid(
            "prefix",
            format!("{prefix:?} may not hold . or .."),
        ));
    }
    Ok(BucketConfig { provider, prefix })
}

fn typed<T: DeserializeOwned>(yaml: &str) -> Result<T, ConfigError> {
    // The parser would quote the lines around a mistake, and those may hold keys.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(yaml, options)
        .map_err(|error| ConfigError::Yaml(error.to_string()))
}

#[cfg(test)]
mod tests;
