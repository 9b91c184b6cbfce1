//! Services of other names that speak S3: their keys, turned into those of an S3 bucket.

use serde::Deserialize;

use crate::error::ConfigError;
use crate::http_config::HttpConfig;
use crate::s3::{BucketLookup, S3Config};
use crate::secret::Secret;

/// Tencent's COS.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawCos {
    bucket: String,
    region: String,
    app_id: String,
    endpoint: String,
    secret_key: Secret<String>,
    secret_id: String,
    max_retries: u32,
    http_config: HttpConfig,
}

/// Alibaba's OSS.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawOss {
    endpoint: String,
    bucket: String,
    access_key_id: String,
    access_key_secret: Secret<String>,
}

/// Huawei's OBS.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawObs {
    bucket: String,
    endpoint: String,
    access_key: String,
    secret_key: Secret<String>,
    http_config: HttpConfig,
}

impl RawCos {
    pub(crate) fn validate(self) -> Result<S3Config, ConfigError> {
        let key = pair(
            ("config.secret_id", self.secret_id),
            ("config.secret_key", self.secret_key),
        )?;
        let (bucket, host, insecure) = if self.endpoint.is_empty() {
            for (key, value) in [
                ("config.bucket", &self.bucket),
                ("config.app_id", &self.app_id),
                ("config.region", &self.region),
            ] {
                present(key, value)?;
            }
            let host = format!("cos.{}.myqcloud.com", self.region);
            (format!("{}-{}", self.bucket, self.app_id), host, false)
        } else {
            // The address of the bucket, not of the service.
            let (host, insecure) = host(&self.endpoint)?;
            let Some((bucket, host)) = host
                .split_once('.')
                .filter(|(_, host)| host.starts_with("cos."))
            else {
                return Err(ConfigError::invalid(
                    "config.endpoint",
                    format!(
                        "{:?} is not of the form https://<bucket>-<app id>.cos.<region>.myqcloud.com",
                        self.endpoint
                    ),
                ));
            };
            (bucket.to_owned(), host.to_owned(), insecure)
        };
        let region = host.split('.').nth(1).unwrap_or_default().to_owned();
        Ok(S3Config {
            max_retries: self.max_retries,
            insecure,
            http_config: self.http_config,
            ..service(bucket, host, region, key)
        })
    }
}

impl RawOss {
    pub(crate) fn validate(self) -> Result<S3Config, ConfigError> {
        present("config.bucket", &self.bucket)?;
        present("config.endpoint", &self.endpoint)?;
        let key = pair(
            ("config.access_key_id", self.access_key_id),
            ("config.access_key_secret", self.access_key_secret),
        )?;
        let (host, insecure) = host(&self.endpoint)?;
        let region = host
            .split('.')
            .find_map(|label| label.strip_prefix("oss-"))
            .map(|region| region.trim_end_matches("-internal"))
            .unwrap_or_default();
        Ok(S3Config {
            insecure,
            ..service(self.bucket, host.to_owned(), region.to_owned(), key)
        })
    }
}

impl RawObs {
    pub(crate) fn validate(self) -> Result<S3Config, ConfigError> {
        present("config.bucket", &self.bucket)?;
        present("config.endpoint", &self.endpoint)?;
        let key = pair(
            ("config.access_key", self.access_key),
            ("config.secret_key", self.secret_key),
        )?;
        let (host, insecure) = host(&self.endpoint)?;
        let region = host
            .strip_prefix("obs.")
            .and_then(|rest| rest.split('.').next())
            .unwrap_or_default();
        Ok(S3Config {
            insecure,
            http_config: self.http_config,
            ..service(self.bucket, host.to_owned(), region.to_owned(), key)
        })
    }
}

/// These services take the bucket's name in the host only.
fn service(
    bucket: String,
    host: String,
    region: String,
    key: (String, Secret<String>),
) -> S3Config {
    S3Config {
        keys: Some(key),
        region,
        bucket_lookup: BucketLookup::VirtualHosted,
        ..S3Config::new(bucket, host)
    }
}

fn present(key: &'static str, value: &str) -> Result<(), ConfigError> {
    if value.is_empty() {
        return Err(ConfigError::invalid(key, "is missing"));
    }
    Ok(())
}

fn pair(
    (id_key, id): (&'static str, String),
    (secret_key, secret): (&'static str, Secret<String>),
) -> Result<(String, Secret<String>), ConfigError> {
    present(id_key, &id)?;
    present(secret_key, secret.expose())?;
    Ok((id, secret))
}

/// Returns the host of an address whose scheme may be left out, and whether that scheme is plain HTTP.
fn host(endpoint: &str) -> Result<(&str, bool), ConfigError> {
    let (host, insecure) = match endpoint.strip_prefix("http://") {
        Some(host) => (host, true),
        None => (endpoint.strip_prefix("https://").unwrap_or(endpoint), false),
    };
    let host = host.trim_end_matches('/');
    if host.is_empty() || host.contains('/') {
        return Err(ConfigError::invalid(
            "config.endpoint",
            format!("{endpoint:?} is no address of a host"),
        ));
    }
    Ok((host, insecure))
}
