//! From Thanos' settings of Google Cloud Storage to a client.

mod uploads;

use std::sync::Arc;

use objconfig::GcsConfig;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{Attributes, ClientOptions};
use serde::Deserialize;

use self::uploads::{Gcs, Uploads};
use crate::backend::{ObjectStoreBucket, WriteOptions};
use crate::client::{Connector, client, limited, retries};
use crate::connect::ConnectError;

/// Where Google answers.
const DEFAULT_URL: &str = "https://storage.googleapis.com";

/// Names a server that stands in for Google's, as Google's own clients read it. It asks for no credentials.
const EMULATOR_VARIABLE: &str = "STORAGE_EMULATOR_HOST";

/// What the service takes in one piece is a multiple of this, other than the last.
const CHUNK_UNIT_BYTES: u64 = 256 << 10;

/// What a key file may say of where it is used. Stand-ins for Google's servers have such key files.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyFile {
    gcs_base_url: Option<String>,
    disable_oauth: bool,
}

/// Creates a bucket of Google Cloud Storage. Nothing is asked of the service yet.
///
/// # Errors
/// Credentials that cannot be understood, or a file named by the configuration that cannot be used.
pub(crate) fn bucket(config: &GcsConfig) -> Result<ObjectStoreBucket, ConnectError> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&config.bucket)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_http_connector(Connector::new("GCS", &config.http_config))
        .with_retry(retries(config.max_retries));
    let mut key_file = KeyFile::default();
    if let Some(key) = &config.service_account {
        key_file = serde_json::from_str(key.expose())
            .map_err(|_| ConnectError::Unusable("config.service_account is no key file's JSON"))?;
        builder = builder.with_service_account_key(key.expose().as_str());
    } else if let Ok(host) = std::env::var(EMULATOR_VARIABLE)
        && !host.is_empty()
    {
        let url = match host.contains("://") {
            true => host,
            false => format!("http://{host}"),
        };
        builder = builder.with_base_url(&url).with_skip_signature(true);
        key_file.gcs_base_url = Some(url);
        key_file.disable_oauth = true;
    }
    let store = builder.build().map_err(ConnectError::client)?;
    let uploads = Uploads {
        client: client(&config.http_config).map_err(ConnectError::Client)?,
        url: format!(
            "{}/upload/storage/v1/b/{}/o",
            key_file
                .gcs_base_url
                .as_deref()
                .unwrap_or(DEFAULT_URL)
                .trim_end_matches('/'),
            config.bucket
        ),
        credentials: (!key_file.disable_oauth).then(|| Arc::clone(store.credentials())),
    };
    let write = WriteOptions {
        part_bytes: config
            .chunk_bytes
            .div_ceil(CHUNK_UNIT_BYTES)
            .saturating_mul(CHUNK_UNIT_BYTES),
        multipart: true,
        attributes: Attributes::new(),
    };
    let store = limited(Arc::new(Gcs::new(store, uploads)), &config.http_config);
    Ok(ObjectStoreBucket::new(store, &config.bucket, write))
}
