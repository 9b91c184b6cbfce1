//! Makes a bucket that does not exist yet.

use std::time::Duration;

use http::{Method, StatusCode};
use objconfig::{BucketConfig, Provider, S3Config};
use object_store::path::Path;
use object_store::signer::Signer;

use crate::azure::Container;
use crate::client::client;
use crate::connect::ConnectError;
use crate::s3;

/// How long the signature of the one request is valid; clocks may differ by some of it.
const SIGNATURE_LIFETIME: Duration = Duration::from_secs(300);

/// How much of an error's text is repeated.
const MAX_REASON_BYTES: usize = 500;

/// The region that takes no location constraint.
const DEFAULT_REGION: &str = "us-east-1";

/// Why a bucket was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Nobody answers for who we are.
    #[error("getting credentials for the object store")]
    Credentials(#[source] Box<object_store::Error>),
    /// The store did not answer.
    #[error("the object store does not answer")]
    Unavailable(#[source] reqwest::Error),
    /// The store cannot now.
    #[error("the object store answered {status}: {reason}")]
    NotNow {
        /// The status.
        status: StatusCode,
        /// What it said.
        reason: String,
    },
    /// The store will not.
    #[error("the object store refused with {status}: {reason}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it said.
        reason: String,
    },
}

impl CreateError {
    /// Returns whether another try may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::NotNow { .. } | Self::Credentials(_)
        )
    }

    /// The address may hold a signature, which must not reach a log.
    pub(crate) fn unavailable(error: reqwest::Error) -> Self {
        Self::Unavailable(error.without_url())
    }

    /// Returns the answer where it is one of success.
    pub(crate) async fn check(response: reqwest::Response) -> Result<reqwest::Response, Self> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut reason = response.text().await.map_err(Self::unavailable)?;
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        let busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(match busy {
            true => Self::NotNow { status, reason },
            false => Self::Refused { status, reason },
        })
    }
}

/// Makes the bucket that `config` describes; one that exists and is ours already is no error.
///
/// # Errors
/// A store that does not answer or does not allow it, or configuration that cannot be used.
pub async fn create(config: &BucketConfig) -> Result<(), CreateError> {
    match &config.provider {
        Provider::S3(s3) => create_s3(s3).await,
        Provider::Azure(azure) => Container::new(azure)?.create().await,
        // A bucket belongs to a project, of which the configuration knows nothing.
        Provider::Gcs(_) => Err(ConnectError::Unusable(
            "a GCS bucket is not made here; use `gcloud storage buckets create gs://<bucket>`",
        )
        .into()),
        Provider::Filesystem(filesystem) => {
            let path = filesystem.directory.clone();
            std::fs::create_dir_all(&path)
                .map_err(|source| ConnectError::Folder { path, source }.into())
        }
    }
}

async fn create_s3(config: &S3Config) -> Result<(), CreateError> {
    let store = s3::store(config)?;
    let url = store
        .signed_url(Method::PUT, &Path::default(), SIGNATURE_LIFETIME)
        .await
        .map_err(ConnectError::client)?;
    let client = client(&config.http_config).map_err(ConnectError::Client)?;
    let mut request = client.put(url);
    let region = s3::region(config);
    if region != DEFAULT_REGION {
        request = request.body(format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        ));
    }
    let response = request.send().await.map_err(CreateError::unavailable)?;
    match CreateError::check(response).await {
        Err(CreateError::Refused { reason, .. }) if reason.contains("BucketAlreadyOwnedByYou") => {
            Ok(())
        }
        done => done.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and returns its head and how the call ended.
    async fn ask(answer: &'static str) -> (String, Result<(), CreateError>) {
        runtime::tls::install_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let endpoint = listener.local_addr().expect("address");
        let yaml = format!(
            "type: S3\nconfig: {{bucket: b, endpoint: '{endpoint}', insecure: true, region: eu, \
             access_key: a, secret_key: s}}"
        );
        let config = objconfig::parse(&yaml, &|_| None).expect("valid");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.expect("read");
            stream.write_all(answer.as_bytes()).await.expect("write");
            String::from_utf8_lossy(&head[..read]).into_owned()
        };
        tokio::join!(server, create(&config))
    }

    #[tokio::test]
    async fn the_bucket_is_put_with_a_signature() {
        let (head, made) = ask("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert!(
            head.starts_with("PUT /b/?") || head.starts_with("PUT /b?"),
            "{head}"
        );
        assert!(head.contains("X-Amz-Signature="), "{head}");
        made.expect("made");
    }

    #[tokio::test]
    async fn a_bucket_of_ours_is_no_error_and_others_are() {
        let (_, made) = ask("HTTP/1.1 409 Conflict\r\ncontent-length: 51\r\n\r\n\
             <Error><Code>BucketAlreadyOwnedByYou</Code></Error>")
        .await;
        made.expect("ours");
        let (_, made) = ask("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno").await;
        let error = made.expect_err("refused");
        assert!(
            !error.is_retryable() && error.to_string().contains("403"),
            "{error}"
        );
        let (_, made) = ask("HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n").await;
        assert!(made.expect_err("busy").is_retryable());
    }
}
