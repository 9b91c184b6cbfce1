//! From Thanos' settings of Azure Blob Storage to a client.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use objconfig::{AzureConfig, AzureCredentials};
use object_store::azure::{
    AzureAuthorizer, AzureConfigKey, AzureCredentialProvider, MicrosoftAzure, MicrosoftAzureBuilder,
};
use object_store::client::HttpRequestBody;
use object_store::{Attributes, ClientOptions};
use tokio::sync::OnceCell;

use crate::backend::{ObjectStoreBucket, WriteOptions};
use crate::client::{Connector, client, limited, retries};
use crate::connect::ConnectError;
use crate::create::CreateError;

/// Objects larger than this are uploaded in blocks of this size. Azure allows 50,000 of them.
const PART_BYTES: u64 = 16 << 20;

/// What the environment may say of who asks, as Azure's own clients read it.
const IDENTITY_VARIABLES: [(&str, AzureConfigKey); 6] = [
    ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
    ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
    ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
    ("AZURE_AUTHORITY_HOST", AzureConfigKey::AuthorityHost),
    (
        "AZURE_FEDERATED_TOKEN_FILE",
        AzureConfigKey::FederatedTokenFile,
    ),
    ("IDENTITY_ENDPOINT", AzureConfigKey::MsiEndpoint),
];

/// Creates a bucket of an Azure container. Nothing is asked of the service yet; the container is made at
/// first use where the configuration wants that.
///
/// # Errors
/// Credentials that cannot be understood, or a file named by the configuration that cannot be used.
pub(crate) fn bucket(config: &AzureConfig) -> Result<ObjectStoreBucket, ConnectError> {
    let store = store(config)?;
    let container = config
        .create_container
        .then(|| Container::of(config, &store))
        .transpose()?;
    let write = WriteOptions {
        part_bytes: PART_BYTES,
        multipart: true,
        attributes: Attributes::new(),
    };
    let store = limited(Arc::new(store), &config.http_config);
    let bucket = ObjectStoreBucket::new(store, &config.container, write);
    Ok(match container {
        Some(container) => bucket.in_container(container),
        None => bucket,
    })
}

fn store(config: &AzureConfig) -> Result<MicrosoftAzure, ConnectError> {
    let mut retry = retries(config.retry.retries.unwrap_or_default());
    if let Some(timeout) = config.retry.timeout {
        retry.retry_timeout = timeout.saturating_mul(retry.max_retries as u32 + 1);
    }
    if let Some(first) = config.retry.first_backoff {
        retry.backoff.init_backoff = first;
    }
    if let Some(max) = config.retry.max_backoff {
        retry.backoff.max_backoff = max;
    }
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_endpoint(config.url.clone())
        .with_allow_http(true)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_http_connector(Connector::new("Azure", &config.http_config))
        .with_disable_tagging(true)
        .with_retry(retry);
    let builder =
        match &config.credentials {
            AzureCredentials::Key(key) => builder.with_access_key(key.expose()),
            AzureCredentials::SharedAccessSignature(signature) => {
                builder.with_config(AzureConfigKey::SasKey, signature.expose())
            }
            AzureCredentials::ClientSecret {
                tenant_id,
                client_id,
                client_secret,
            } => with_environment(builder, &["AZURE_AUTHORITY_HOST"])
                .with_client_secret_authorization(client_id, client_secret.expose(), tenant_id),
            AzureCredentials::ManagedIdentity(client_id) => {
                with_environment(builder, &["IDENTITY_ENDPOINT"]).with_client_id(client_id)
            }
            AzureCredentials::Environment => {
                let names = IDENTITY_VARIABLES.map(|(name, _)| name);
                with_environment(builder, &names)
            }
        };
    builder.build().map_err(ConnectError::client)
}

fn with_environment(builder: MicrosoftAzureBuilder, names: &[&str]) -> MicrosoftAzureBuilder {
    let wanted = IDENTITY_VARIABLES
        .iter()
        .filter(|(name, _)| names.contains(name));
    wanted.fold(builder, |builder, (name, key)| match std::env::var(name) {
        Ok(value) if !value.is_empty() => builder.with_config(*key, value),
        _ => builder,
    })
}

/// The container itself, made where it does not exist.
#[derive(Debug)]
pub(crate) struct Container {
    client: reqwest::Client,
    credentials: AzureCredentialProvider,
    account: String,
    url: String,
    made: OnceCell<()>,
}

impl Container {
    /// Returns the container that `config` describes.
    ///
    /// # Errors
    /// As [`bucket`].
    pub(crate) fn new(config: &AzureConfig) -> Result<Self, ConnectError> {
        Self::of(config, &store(config)?)
    }

    fn of(config: &AzureConfig, store: &MicrosoftAzure) -> Result<Self, ConnectError> {
        Ok(Self {
            client: client(&config.http_config).map_err(ConnectError::Client)?,
            credentials: Arc::clone(store.credentials()),
            account: config.account.clone(),
            url: format!("{}/{}?restype=container", config.url, config.container),
            made: OnceCell::new(),
        })
    }

    /// Makes the container once. Who may not make it may still use the one that is there.
    pub(crate) async fn ensure(&self) -> Result<(), CreateError> {
        let made = self.made.get_or_try_init(|| async {
            match self.create().await {
                Err(CreateError::Refused { status, reason }) if is_refusal(status) => {
                    tracing::debug!(%status, reason, "the container is not ours to make");
                    Ok(())
                }
                done => done,
            }
        });
        made.await.map(|&()| ())
    }

    /// Makes the container; one that exists is no error.
    ///
    /// # Errors
    /// A service that does not answer or does not allow it.
    pub(crate) async fn create(&self) -> Result<(), CreateError> {
        let credential = self.credentials.get_credential().await;
        let credential = credential.map_err(|error| CreateError::Credentials(Box::new(error)))?;
        let mut request = http::Request::builder()
            .method(Method::PUT)
            .uri(&self.url)
            .header(CONTENT_LENGTH, 0)
            .body(HttpRequestBody::empty())
            .map_err(|error| ConnectError::Client(error.into()))?;
        AzureAuthorizer::new(&credential, &self.account)
            .try_authorize(&mut request)
            .map_err(ConnectError::client)?;
        let request = reqwest::Request::try_from(request.map(|_| reqwest::Body::default()))
            .map_err(|error| ConnectError::Client(error.without_url().into()))?;
        let answer = self.client.execute(request).await;
        let response = answer.map_err(CreateError::unavailable)?;
        if response.status() == StatusCode::CONFLICT {
            return Ok(());
        }
        CreateError::check(response).await.map(drop)
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}
