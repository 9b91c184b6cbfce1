//! What the sidecar asks of the Prometheus beside it, over its HTTP API.

pub mod remote_read;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use model::{Labels, Matcher, TimeRange};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The most bytes of a JSON answer that are read; Prometheus' own limits keep answers far below.
const MAX_JSON_BYTES: usize = 256 << 20;
/// The most characters of a foreign error text that reach a log line or a status.
const MAX_ERROR_CHARS: usize = 2_000;

/// Why a call to Prometheus failed.
#[derive(Debug, Error)]
pub enum PrometheusError {
    #[error("prometheus at {url} cannot be reached")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("prometheus answered {path} with {status}: {message}")]
    Refused {
        path: &'static str,
        status: StatusCode,
        message: String,
    },
    #[error("prometheus' answer to {path} is not what its API describes: {what}")]
    Unexpected { path: &'static str, what: String },
}

impl PrometheusError {
    /// Returns whether Prometheus answered at all.
    #[must_use]
    pub fn answered(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// A client of one Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    base: reqwest::Url,
    http: reqwest::Client,
    timeout: Duration,
}

/// The flags of a running Prometheus that decide what may be uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--storage.tsdb.min-block-duration` and `max-block-duration`, milliseconds.
    pub min_block_duration: i64,
    pub max_block_duration: i64,
    /// `--storage.tsdb.delay-compact-file.path`, where the version has it.
    pub delay_compact_file: String,
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

impl Prometheus {
    /// Returns a client of the Prometheus at `url`; a path in it is kept as prefix.
    ///
    /// # Errors
    /// A URL that is not http or https, or a client that cannot be built.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, PrometheusError> {
        let unusable = |what: String| PrometheusError::Unexpected {
            path: "--prometheus.url",
            what,
        };
        let base = reqwest::Url::parse(url)
            .map_err(|err| unusable(format!("{url:?} is no URL: {err}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(unusable(format!(
                "{url:?} has to begin with http:// or https://"
            )));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(4)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| PrometheusError::Unreachable {
                url: url.to_owned(),
                source,
            })?;
        Ok(Self {
            base,
            http,
            timeout,
        })
    }

    /// Returns whether `/-/ready` answers 200.
    ///
    /// # Errors
    /// No answer, or another status with its text.
    pub async fn ready(&self) -> Result<(), PrometheusError> {
        self.send(Method::GET, "/-/ready", &[], None)
            .await
            .map(drop)
    }

    /// Asks Prometheus to load its configuration again.
    ///
    /// # Errors
    /// Prometheus' own text where it refuses the configuration.
    pub async fn reload(&self) -> Result<(), PrometheusError> {
        self.send(Method::POST, "/-/reload", &[], None)
            .await
            .map(drop)
    }

    /// Returns the external labels of the running configuration.
    ///
    /// # Errors
    /// No answer, or a configuration that is no YAML mapping.
    pub async fn external_labels(&self) -> Result<Labels, PrometheusError> {
        #[derive(Deserialize)]
        struct Config {
            yaml: String,
        }
        #[derive(Deserialize, Default)]
        struct File {
            #[serde(default)]
            global: Global,
        }
        #[derive(Deserialize, Default)]
        struct Global {
            #[serde(default)]
            external_labels: BTreeMap<String, String>,
        }
        const PATH: &str = "/api/v1/status/config";
        let config: Config = self.get(PATH, &[]).await?;
        let file: File =
            serde_saphyr::from_str(&config.yaml).map_err(|err| PrometheusError::Unexpected {
                path: PATH,
                what: err.to_string(),
            })?;
        Ok(Labels::from_pairs(file.global.external_labels))
    }

    /// Returns the flags that matter to uploads.
    ///
    /// # Errors
    /// No answer, or a duration that cannot be read.
    pub async fn flags(&self) -> Result<Flags, PrometheusError> {
        const PATH: &str = "/api/v1/status/flags";
        let flags: BTreeMap<String, String> = self.get(PATH, &[]).await?;
        let duration = |name: &str| {
            let text = flags.get(name).map_or("0s", String::as_str);
            model::parse_duration(text).map_err(|err| PrometheusError::Unexpected {
                path: PATH,
                what: format!("{name}: {err}"),
            })
        };
        Ok(Flags {
            min_block_duration: duration("storage.tsdb.min-block-duration")?,
            max_block_duration: duration("storage.tsdb.max-block-duration")?,
            delay_compact_file: flags
                .get("storage.tsdb.delay-compact-file.path")
                .cloned()
                .unwrap_or_default(),
        })
    }

    /// Returns Prometheus' version.
    ///
    /// # Errors
    /// No answer.
    pub async fn version(&self) -> Result<String, PrometheusError> {
        #[derive(Deserialize)]
        struct BuildInfo {
            version: String,
        }
        self.get::<BuildInfo>("/api/v1/status/buildinfo", &[])
            .await
            .map(|info| info.version)
    }

    /// Returns the time of the oldest sample that Prometheus holds, from its own metrics; nothing
    /// while it holds none.
    ///
    /// # Errors
    /// No answer.
    pub async fn lowest_timestamp(&self) -> Result<Option<i64>, PrometheusError> {
        const METRIC: &str = "prometheus_tsdb_lowest_timestamp_seconds ";
        let text = self.text("/metrics").await?;
        let value = text.lines().find_map(|line| line.strip_prefix(METRIC));
        let seconds = value.and_then(|value| value.trim().parse::<f64>().ok());
        // An empty head says 9.2e15 seconds.
        Ok(seconds
            .filter(|s| s.abs() < 1e12)
            .map(|s| (s * 1_000.0) as i64))
    }

    /// Returns the label sets of the series that match.
    ///
    /// # Errors
    /// No answer, or Prometheus' refusal.
    pub async fn series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<Labels>, PrometheusError> {
        let query = Self::metadata_query(matchers, range, limit);
        let series: Vec<BTreeMap<String, String>> = self.get("/api/v1/series", &query).await?;
        Ok(series.into_iter().map(Labels::from_pairs).collect())
    }

    /// Returns the label names of the series that match.
    ///
    /// # Errors
    /// As [`Self::series`].
    pub async fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<String>, PrometheusError> {
        self.get(
            "/api/v1/labels",
            &Self::metadata_query(matchers, range, limit),
        )
        .await
    }

    /// Returns the values that `label` has in the series that match.
    ///
    /// # Errors
    /// As [`Self::series`].
    pub async fn label_values(
        &self,
        label: &str,
        matchers: &[Matcher],
        range: TimeRange,
        limit: u64,
    ) -> Result<Vec<String>, PrometheusError> {
        let query = Self::metadata_query(matchers, range, limit);
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["api", "v1", "label", &escape_label(label), "values"]);
        }
        let request = self.http.get(url).query(&query).timeout(self.timeout);
        self.finish("/api/v1/label/<name>/values", request).await
    }

    /// Returns `data` of an API path, as the JSON that Prometheus gave.
    ///
    /// # Errors
    /// As [`Self::series`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &'static str,
        query: &[(&'static str, String)],
    ) -> Result<T, PrometheusError> {
        let request = self
            .http
            .get(self.url(path))
            .query(query)
            .timeout(self.timeout);
        self.finish(path, request).await
    }

    async fn finish<T: DeserializeOwned>(
        &self,
        path: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, PrometheusError> {
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        let response = self.accept(path, response).await?;
        let body = self.body(path, response).await?;
        let envelope: Envelope<T> =
            serde_json::from_slice(&body).map_err(|err| PrometheusError::Unexpected {
                path,
                what: err.to_string(),
            })?;
        for warning in &envelope.warnings {
            tracing::warn!(path, warning, "prometheus answered with a warning");
        }
        match envelope.data {
            Some(data) if envelope.status == "success" => Ok(data),
            _ => Err(PrometheusError::Unexpected {
                path,
                what: envelope.error,
            }),
        }
    }

    async fn text(&self, path: &'static str) -> Result<String, PrometheusError> {
        let response = self.send(Method::GET, path, &[], None).await?;
        let body = self.body(path, response).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn body(
        &self,
        path: &'static str,
        mut response: Response,
    ) -> Result<Bytes, PrometheusError> {
        let mut body = Vec::new();
        while let Some(part) = response
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))?
        {
            if body.len() + part.len() > MAX_JSON_BYTES {
                return Err(PrometheusError::Unexpected {
                    path,
                    what: format!("more than {MAX_JSON_BYTES} bytes"),
                });
            }
            body.extend_from_slice(&part);
        }
        Ok(body.into())
    }

    async fn send(
        &self,
        method: Method,
        path: &'static str,
        headers: &[(&'static str, &'static str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, PrometheusError> {
        let mut request = self
            .http
            .request(method, self.url(path))
            .timeout(self.timeout);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        self.accept(path, response).await
    }

    /// Turns an answer with a failing status into an error that carries its text.
    async fn accept(
        &self,
        path: &'static str,
        response: Response,
    ) -> Result<Response, PrometheusError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(path, response).await.unwrap_or_default();
        let message = serde_json::from_slice::<Envelope<serde_json::Value>>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).trim().to_owned(),
            |json| json.error,
        );
        let message = message.chars().take(MAX_ERROR_CHARS).collect();
        Err(PrometheusError::Refused {
            path,
            status,
            message,
        })
    }

    fn unreachable(&self, source: reqwest::Error) -> PrometheusError {
        PrometheusError::Unreachable {
            url: self.base.to_string(),
            source: source.without_url(),
        }
    }

    fn url(&self, path: &str) -> reqwest::Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn metadata_query(
        matchers: &[Matcher],
        range: TimeRange,
        limit: u64,
    ) -> Vec<(&'static str, String)> {
        let mut query = vec![("start", seconds(range.start)), ("end", seconds(range.end))];
        if !matchers.is_empty() {
            query.push(("match[]", selector(matchers)));
        }
        if limit > 0 {
            query.push(("limit", limit.to_string()));
        }
        query
    }
}

/// Returns `{a="b",c=~"d"}`, quoting names that are no legacy names.
#[must_use]
pub fn selector(matchers: &[Matcher]) -> String {
    let parts: Vec<String> = matchers
        .iter()
        .map(|matcher| {
            let name = if is_legacy_name(&matcher.name) {
                matcher.name.clone()
            } else {
                model::labels::quote(&matcher.name)
            };
            format!(
                "{name}{}{}",
                matcher.op.as_str(),
                model::labels::quote(&matcher.value)
            )
        })
        .collect();
    format!("{{{}}}", parts.join(","))
}

fn is_legacy_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Prometheus takes other names in a path in its `U__` escaping.
fn escape_label(name: &str) -> String {
    if is_legacy_name(name) {
        return name.to_owned();
    }
    let mut out = String::from("U__");
    for c in name.chars() {
        match c {
            '_' => out.push_str("__"),
            c if c.is_ascii_alphanumeric() => out.push(c),
            c => out.push_str(&format!("_{:x}_", c as u32)),
        }
    }
    out
}

/// Returns a time as Prometheus' API takes it, kept within what its parser accepts.
fn seconds(ms: i64) -> String {
    // Prometheus' own minimum and maximum: 292 million years.
    const MAX_MS: i64 = 9_000_000_000_000_000;
    let ms = ms.clamp(-MAX_MS, MAX_MS);
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_quote_what_is_no_legacy_name() {
        let matchers = [
            Matcher::equal("job", "a\"b"),
            Matcher::equal("http.status", "200"),
        ];
        assert_eq!(selector(&matchers), r#"{job="a\"b","http.status"="200"}"#);
        assert_eq!(escape_label("http.status_code"), "U__http_2e_status__code");
    }

    #[test]
    fn times_are_seconds_with_three_decimals() {
        assert_eq!(seconds(1_500), "1.500");
        assert_eq!(seconds(-1), "-0.001");
        assert_eq!(seconds(i64::MAX), "9000000000000.000");
    }
}
