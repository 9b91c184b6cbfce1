//! From Thanos' S3 settings to a client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use objconfig::{BucketLookup, S3Config, Sse};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{Attribute, AttributeValue, Attributes, ClientOptions, ObjectStore};

use crate::backend::{ObjectStoreBucket, WriteOptions};
use crate::client::{Connector, limited, retries};
use crate::connect::ConnectError;

/// Suffixes of services that are known to take the bucket's name in the host.
const VIRTUAL_HOSTED: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".aliyuncs.com"];

/// Creates a bucket of an S3 service. Nothing is asked of the service yet.
///
/// # Errors
/// When a file named by the configuration cannot be used.
pub(crate) fn bucket(config: &S3Config) -> Result<ObjectStoreBucket, ConnectError> {
    let store: Arc<dyn ObjectStore> = Arc::new(store(config)?);
    let attributes: Attributes = config
        .put_user_metadata
        .iter()
        .map(|(key, value)| {
            (
                Attribute::Metadata(key.clone().into()),
                AttributeValue::from(value.clone()),
            )
        })
        .collect();
    let write = WriteOptions {
        part_bytes: config.part_size,
        multipart: !config.disable_multipart,
        attributes,
    };
    let store = limited(store, &config.http_config);
    Ok(ObjectStoreBucket::new(store, &config.bucket, write))
}

/// Creates the client of an S3 service.
///
/// # Errors
/// When a file named by the configuration cannot be used.
pub(crate) fn store(config: &S3Config) -> Result<AmazonS3, ConnectError> {
    let mut builder = match &config.keys {
        Some((access_key, secret_key)) => AmazonS3Builder::new()
            .with_access_key_id(access_key)
            .with_secret_access_key(secret_key.expose()),
        None => with_found_credentials(AmazonS3Builder::from_env()),
    };
    if !config.session_token.is_empty() {
        builder = builder.with_token(config.session_token.expose());
    }
    let address = Address::of(config);
    builder = builder
        .with_bucket_name(&config.bucket)
        .with_region(address.region)
        .with_endpoint(address.url)
        .with_virtual_hosted_style_request(address.virtual_hosted)
        .with_allow_http(config.insecure)
        .with_client_options(ClientOptions::new().with_allow_http(config.insecure))
        .with_http_connector(Connector::new("S3", &config.http_config).traced(config.trace))
        .with_disable_tagging(true)
        .with_retry(retries(config.max_retries));
    if !config.sts_endpoint.is_empty() {
        let key: AmazonS3ConfigKey = "aws_endpoint_url_sts"
            .parse()
            .map_err(ConnectError::client)?;
        builder = builder.with_config(key, &config.sts_endpoint);
    }
    builder = with_encryption(builder, config.sse.as_ref())?;
    builder.build().map_err(ConnectError::client)
}

/// Returns the region that requests are signed for.
pub(crate) fn region(config: &S3Config) -> String {
    Address::of(config).region
}

/// Where requests go.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    url: String,
    region: String,
    virtual_hosted: bool,
}

impl Address {
    fn of(config: &S3Config) -> Self {
        let region = if config.region.is_empty() {
            region_of(&config.endpoint)
                .unwrap_or("us-east-1")
                .to_owned()
        } else {
            config.region.clone()
        };
        // The global name answers other regions with a redirect that changes what has to be signed.
        let host = if config.endpoint == "s3.amazonaws.com" && region != "us-east-1" {
            format!("s3.{region}.amazonaws.com")
        } else {
            config.endpoint.clone()
        };
        let virtual_hosted = match config.bucket_lookup {
            BucketLookup::Path => false,
            BucketLookup::VirtualHosted => true,
            // A dot in the bucket's name is one label too many for the service's certificate.
            BucketLookup::Auto => {
                VIRTUAL_HOSTED.iter().any(|suffix| host.ends_with(suffix))
                    && (config.insecure || !config.bucket.contains('.'))
            }
        };
        let scheme = if config.insecure { "http" } else { "https" };
        let url = if virtual_hosted {
            format!("{scheme}://{}.{host}", config.bucket)
        } else {
            format!("{scheme}://{host}")
        };
        Self {
            url,
            region,
            virtual_hosted,
        }
    }
}

/// Returns `eu-central-1` of `s3.eu-central-1.amazonaws.com`, of `s3-eu-central-1.…` too.
fn region_of(endpoint: &str) -> Option<&str> {
    let host = endpoint
        .strip_suffix(".cn")
        .unwrap_or(endpoint)
        .strip_suffix(".amazonaws.com")?;
    let region = host
        .strip_prefix("s3.")
        .or_else(|| host.strip_prefix("s3-"))?;
    let region = region.strip_prefix("dualstack.").unwrap_or(region);
    (!region.is_empty()).then_some(region)
}

fn with_encryption(
    builder: AmazonS3Builder,
    sse: Option<&Sse>,
) -> Result<AmazonS3Builder, ConnectError> {
    match sse {
        None => Ok(builder),
        Some(Sse::S3) => {
            let key: AmazonS3ConfigKey = "aws_server_side_encryption"
                .parse()
                .map_err(ConnectError::client)?;
            Ok(builder.with_config(key, "AES256"))
        }
        Some(Sse::Kms {
            key_id,
            encryption_context,
        }) => {
            if !encryption_context.is_empty() {
                return Err(ConnectError::Unsupported(
                    "config.sse_config.kms_encryption_context is not supported yet; remove it",
                ));
            }
            Ok(builder.with_sse_kms_encryption(key_id))
        }
        Some(Sse::Customer { encryption_key }) => {
            let key = std::fs::read(encryption_key).map_err(|source| ConnectError::Read {
                path: encryption_key.clone(),
                source,
            })?;
            Ok(builder.with_ssec_encryption(BASE64_STANDARD.encode(key)))
        }
    }
}

/// Without keys in the configuration or the environment the shared credentials file is looked at; without
/// that the builder asks the machine's role by itself.
fn with_found_credentials(builder: AmazonS3Builder) -> AmazonS3Builder {
    let key = "aws_access_key_id".parse::<AmazonS3ConfigKey>().ok();
    if key.is_some_and(|key| builder.get_config_value(&key).is_some()) {
        return builder;
    }
    let path = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".aws/credentials")));
    let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let text = path
        .and_then(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let Some(found) = profile_keys(&text, &profile) else {
        return builder;
    };
    let builder = builder
        .with_access_key_id(found.access_key)
        .with_secret_access_key(found.secret_key);
    match found.token {
        Some(token) => builder.with_token(token),
        None => builder,
    }
}

struct ProfileKeys {
    access_key: String,
    secret_key: String,
    token: Option<String>,
}

/// Reads one profile of a credentials file.
fn profile_keys(text: &str, profile: &str) -> Option<ProfileKeys> {
    let (mut access_key, mut secret_key, mut token) = (None, None, None);
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = name.trim() == profile;
        } else if inside && let Some((key, value)) = line.split_once('=') {
            let value = Some(value.trim().to_owned());
            match key.trim() {
                "aws_access_key_id" => access_key = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(ProfileKeys {
        access_key: access_key?,
        secret_key: secret_key?,
        token,
    })
}

#[cfg(test)]
mod tests {
    use objconfig::Provider;

    use super::*;

    fn address(config: &str) -> Address {
        let yaml = format!("type: S3\nconfig: {{{config}}}");
        match objconfig::parse(&yaml, &|_| None).expect(config).provider {
            Provider::S3(s3) => Address::of(&s3),
            other => panic!("{other:?} is not S3"),
        }
    }

    #[test]
    fn requests_go_where_the_endpoint_says() {
        for (config, url, region, virtual_hosted) in [
            (
                "bucket: b, endpoint: 'localhost:7070', insecure: true",
                "http://localhost:7070",
                "us-east-1",
                false,
            ),
            (
                "bucket: b, endpoint: s3.eu-central-1.amazonaws.com",
                "https://b.s3.eu-central-1.amazonaws.com",
                "eu-central-1",
                true,
            ),
            (
                "bucket: b, endpoint: s3.amazonaws.com, region: eu-west-1",
                "https://b.s3.eu-west-1.amazonaws.com",
                "eu-west-1",
                true,
            ),
            (
                "bucket: b, endpoint: s3.amazonaws.com",
                "https://b.s3.amazonaws.com",
                "us-east-1",
                true,
            ),
            (
                "bucket: b.c, endpoint: s3.amazonaws.com",
                "https://s3.amazonaws.com",
                "us-east-1",
                false,
            ),
            (
                "bucket: b, endpoint: x.y, bucket_lookup_type: virtual-hosted",
                "https://b.x.y",
                "us-east-1",
                true,
            ),
            (
                "bucket: b, endpoint: s3.us-west-2.amazonaws.com, bucket_lookup_type: path",
                "https://s3.us-west-2.amazonaws.com",
                "us-west-2",
                false,
            ),
        ] {
            let expected = Address {
                url: url.into(),
                region: region.into(),
                virtual_hosted,
            };
            assert_eq!(address(config), expected, "{config}");
        }
    }

    #[test]
    fn credentials_file_is_read_by_profile() {
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key=B\n\n[ other ]\n\
                    aws_access_key_id=C\naws_secret_access_key = D=\naws_session_token=E\n";
        let found = profile_keys(text, "other").expect("present");
        assert_eq!(
            (found.access_key.as_str(), found.secret_key.as_str()),
            ("C", "D=")
        );
        assert_eq!(found.token.as_deref(), Some("E"));
        assert!(profile_keys(text, "absent").is_none());
        assert!(profile_keys("[default]\naws_access_key_id=A", "default").is_none());
    }
}
