//! Uploads by the JSON API: one request for what is small, a resumable session for what is not. A condition
//! is part of the request's address, by generation. Everything else is the library's.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderMap, StatusCode};
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorage};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use tokio::sync::Mutex;

/// In messages.
const STORE: &str = "GCS";

/// How much of an error's text is repeated.
const MAX_REASON_BYTES: usize = 500;

/// The status of a session that wants more.
const RESUME_INCOMPLETE: StatusCode = StatusCode::PERMANENT_REDIRECT;

/// Google Cloud Storage with this module's uploads.
#[derive(Debug)]
pub(super) struct Gcs {
    store: GoogleCloudStorage,
    uploads: Uploads,
}

impl Gcs {
    pub(super) fn new(store: GoogleCloudStorage, uploads: Uploads) -> Self {
        Self { store, uploads }
    }
}

/// Where and as whom objects are uploaded.
#[derive(Debug, Clone)]
pub(super) struct Uploads {
    pub(super) client: reqwest::Client,
    /// Of the bucket, in the JSON API.
    pub(super) url: String,
    /// `None` where the server asks for none.
    pub(super) credentials: Option<GcpCredentialProvider>,
}

#[derive(Debug, Deserialize)]
struct Written {
    generation: String,
}

impl Uploads {
    async fn send(&self, path: &Path, request: RequestBuilder) -> Result<Response> {
        let request = match &self.credentials {
            Some(credentials) => request.bearer_auth(&credentials.get_credential().await?.bearer),
            None => request,
        };
        let response = request.send().await.map_err(generic)?;
        let status = response.status();
        if status.is_success() || status == RESUME_INCOMPLETE {
            return Ok(response);
        }
        let mut reason = response.text().await.map_err(generic)?;
        reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
        Err(refusal(path, status, reason))
    }

    async fn put(&self, path: &Path, content: Bytes, mode: PutMode) -> Result<PutResult> {
        let generation = match mode {
            PutMode::Overwrite => None,
            // Of what does not exist.
            PutMode::Create => Some("0".to_owned()),
            PutMode::Update(version) => Some(version.version.ok_or_else(|| {
                let reason = "the version has no generation; it is of another store";
                other(reason.into())
            })?),
        };
        let mut request = self
            .client
            .post(&self.url)
            .query(&[("uploadType", "media"), ("name", path.as_ref())]);
        if let Some(generation) = generation {
            request = request.query(&[("ifGenerationMatch", generation)]);
        }
        let request = request
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, content.len())
            .body(content);
        written(self.send(path, request).await?).await
    }

    async fn begin(&self, path: &Path) -> Result<Session> {
        let request = self
            .client
            .post(&self.url)
            .query(&[("uploadType", "resumable"), ("name", path.as_ref())])
            .header("x-upload-content-type", "application/octet-stream")
            .header(CONTENT_LENGTH, 0);
        let response = self.send(path, request).await?;
        let url = header(response.headers(), LOCATION);
        Ok(Session {
            uploads: self.clone(),
            path: path.clone(),
            url: url.ok_or_else(|| other("the service began no upload".into()))?,
            sent: 0,
            held: Bytes::new(),
        })
    }
}

/// An upload under way. The newest piece is held back until it is known whether it is the last.
struct Session {
    uploads: Uploads,
    path: Path,
    /// Whoever has it may write the object.
    url: String,
    sent: u64,
    held: Bytes,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} bytes of {})", self.sent, self.path)
    }
}

impl Session {
    /// Sends what is held; `total` is the object's size once it is known. Answers the last response.
    async fn flush(&mut self, total: Option<u64>) -> Result<Response> {
        loop {
            let end = self.sent + self.held.len() as u64;
            let of = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
            let range = match end.checked_sub(1).filter(|_| !self.held.is_empty()) {
                Some(last) => format!("bytes {}-{last}/{of}", self.sent),
                None => format!("bytes */{of}"),
            };
            let request = self
                .uploads
                .client
                .put(&self.url)
                .header(CONTENT_RANGE, range)
                .header(CONTENT_LENGTH, self.held.len())
                .body(self.held.clone());
            let response = self.uploads.send(&self.path, request).await?;
            if response.status() != RESUME_INCOMPLETE {
                self.sent = end;
                self.held = Bytes::new();
                return Ok(response);
            }
            // The service may have kept less than it was sent.
            let kept = kept_bytes(response.headers()).clamp(self.sent, end);
            if kept == self.sent {
                return Err(other("the service keeps nothing of what it is sent".into()));
            }
            self.held = self.held.slice((kept - self.sent) as usize..);
            self.sent = kept;
            if self.held.is_empty() && total.is_none() {
                return Ok(response);
            }
        }
    }
}

#[derive(Debug)]
struct Resumable(Arc<Mutex<Session>>);

#[async_trait]
impl MultipartUpload for Resumable {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let session = Arc::clone(&self.0);
        Box::pin(async move {
            let mut session = session.lock().await;
            if !session.held.is_empty() {
                session.flush(None).await?;
            }
            session.held = data.into();
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut session = self.0.lock().await;
        let total = session.sent + session.held.len() as u64;
        written(session.flush(Some(total)).await?).await
    }

    async fn abort(&mut self) -> Result<()> {
        let session = self.0.lock().await;
        let request = session.uploads.client.delete(&session.url);
        // The service answers 499 to what it has dropped, which is no success by HTTP.
        session.uploads.send(&session.path, request).await.map(drop)
    }
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// Returns how many bytes a session has: `Range: bytes=0-42` are 43, none is nothing.
fn kept_bytes(headers: &HeaderMap) -> u64 {
    let range = header(headers, RANGE);
    let last = range.as_deref().and_then(|range| range.rsplit('-').next());
    last.and_then(|last| last.parse::<u64>().ok())
        .map_or(0, |last| last.saturating_add(1))
}

async fn written(response: Response) -> Result<PutResult> {
    let written: Written = response.json().await.map_err(generic)?;
    Ok(PutResult {
        e_tag: None,
        version: Some(written.generation),
        extensions: Default::default(),
    })
}

fn other(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic {
        store: STORE,
        source,
    }
}

/// The address may hold a session, which must not reach a log.
fn generic(error: reqwest::Error) -> Error {
    other(Box::new(error.without_url()))
}

fn refusal(path: &Path, status: StatusCode, reason: String) -> Error {
    let path = path.to_string();
    let source = format!("{status}: {reason}").into();
    match status {
        StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => {
            Error::Precondition { path, source }
        }
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
        StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
        StatusCode::NOT_FOUND => Error::NotFound { path, source },
        _ => other(source),
    }
}

impl fmt::Display for Gcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Gcs {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.uploads.put(path, payload.into(), options.mode).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let session = self.uploads.begin(path).await?;
        Ok(Box::new(Resumable(Arc::new(Mutex::new(session)))))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_has_is_counted() {
        for (range, expected) in [
            (None, 0),
            (Some("bytes=0-0"), 1),
            (Some("bytes=0-262143"), 262_144),
            (Some("bytes=0-18446744073709551615"), u64::MAX),
            (Some("nothing"), 0),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(range) = range {
                headers.insert(RANGE, http::HeaderValue::from_static(range));
            }
            assert_eq!(kept_bytes(&headers), expected, "{range:?}");
        }
    }
}
