//! The querier behind the frontend.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use reqwest::Url;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is taken apart; larger ones are an error, not a crash.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// Headers about one connection, which never travel on.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];

/// Why the querier did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownstreamError {
    #[error("the querier cannot be reached: {0}")]
    Unreachable(#[source] reqwest::Error),
    #[error("the querier's answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// A client of one querier.
#[derive(Debug, Clone)]
pub(crate) struct Downstream {
    base: Arc<Url>,
    client: reqwest::Client,
}

/// A call of the API.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// As the frontend was asked, e.g. `/api/v1/query_range`.
    pub(crate) path: String,
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether the parameters are posted as a form.
    pub(crate) post: bool,
    pub(crate) headers: HeaderMap,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Returns whether it says itself that it must not be kept.
    pub(crate) fn is_no_store(&self) -> bool {
        self.headers
            .get(header::CACHE_CONTROL)
            .is_some_and(|value| value.as_bytes().windows(8).any(|word| word == b"no-store"))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        *response.headers_mut() = end_to_end(&self.headers);
        response
    }
}

impl Downstream {
    /// Returns a client of the querier at `base`.
    ///
    /// # Errors
    /// A client cannot be built here.
    pub(crate) fn new(base: Url) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            base: Arc::new(base),
            client,
        })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = (*self.base).clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url
    }

    /// Makes a call, and again up to `retries` times while the querier fails.
    pub(crate) async fn call(
        &self,
        call: &Call,
        retries: usize,
    ) -> Result<Answer, DownstreamError> {
        let mut left = retries;
        loop {
            let answer = self.call_once(call).await;
            let failed = match &answer {
                Ok(answer) => answer.status.is_server_error(),
                Err(DownstreamError::Unreachable(_)) => true,
                Err(DownstreamError::TooLarge) => false,
            };
            if !failed || left == 0 {
                return answer;
            }
            left -= 1;
        }
    }

    async fn call_once(&self, call: &Call) -> Result<Answer, DownstreamError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&call.parameters)
            .finish();
        let mut url = self.url(&call.path);
        let request = if call.post {
            let kind = "application/x-www-form-urlencoded";
            self.client
                .post(url)
                .header(header::CONTENT_TYPE, kind)
                .body(form)
        } else {
            url.set_query((!form.is_empty()).then_some(form.as_str()));
            self.client.get(url)
        };
        let sent = request.headers(call.headers.clone()).send().await;
        let mut response = sent.map_err(DownstreamError::Unreachable)?;
        let mut body = Vec::new();
        while let Some(part) = response
            .chunk()
            .await
            .map_err(DownstreamError::Unreachable)?
        {
            if body.len() + part.len() > MAX_ANSWER_BYTES {
                return Err(DownstreamError::TooLarge);
            }
            body.extend_from_slice(&part);
        }
        Ok(Answer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
        })
    }

    /// Sends a request on as it came, and its answer back as it comes.
    pub(crate) async fn pass(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, DownstreamError> {
        let mut url = self.url(path);
        url.set_query(query);
        let request = self
            .client
            .request(method, url)
            .headers(end_to_end(headers));
        let sent = request.body(body).send().await;
        let mut answer = sent.map_err(DownstreamError::Unreachable)?;
        let headers = end_to_end(answer.headers());
        answer.headers_mut().clear();
        let status = answer.status();
        let mut response = Body::from_stream(answer.bytes_stream()).into_response();
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Returns whether the querier says that requests may come.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = self
            .client
            .get(self.url("/-/ready"))
            .timeout(CONNECT_TIMEOUT);
        matches!(asked.send().await, Ok(answer) if answer.status().is_success())
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let kept = headers
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
