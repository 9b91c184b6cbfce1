//! Questions to a querier or a Prometheus, through the API server's proxy of Services.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use serde_json::Value;

/// A server of the Prometheus HTTP API behind a Service.
#[derive(Clone)]
pub struct Server {
    client: Client,
    base: String,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since the epoch, and the value's text.
    pub samples: Vec<(i64, String)>,
}

impl Series {
    /// A label's value; empty where the series has none.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// An answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub series: Vec<Series>,
    /// Not empty where a store's data is missing.
    pub warnings: Vec<String>,
}

impl Answer {
    /// The only series.
    ///
    /// # Errors
    /// Where there is none or more than one.
    pub fn only(&self) -> Result<&Series> {
        let [series] = self.series.as_slice() else {
            anyhow::bail!("not one series but {:?}", self.labels());
        };
        Ok(series)
    }

    fn labels(&self) -> Vec<&BTreeMap<String, String>> {
        self.series.iter().map(|series| &series.labels).collect()
    }
}

impl Server {
    /// The server behind port `port` of a Service.
    #[must_use]
    pub fn new(client: Client, namespace: &str, service: &str, port: &str) -> Self {
        let base = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy");
        Self { client, base }
    }

    /// The body behind a path, read as JSON.
    ///
    /// # Errors
    /// Where the server does not answer with success, with what it said.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let uri = format!("{}{path}?{query}", self.base);
        let request = http::Request::get(&uri).body(Vec::new())?;
        let text = self.client.request_text(request).await?;
        serde_json::from_str(&text).with_context(|| format!("GET {uri}: {text}"))
    }

    /// An instant query, now.
    ///
    /// # Errors
    /// As [`Server::get`].
    pub async fn instant(&self, query: &str, dedup: bool) -> Result<Answer> {
        let dedup = if dedup { "true" } else { "false" };
        let parameters = [("query", query), ("dedup", dedup)];
        answer(&self.get("/api/v1/query", &parameters).await?)
    }

    /// A range query over deduplicated data; times in milliseconds since the epoch.
    ///
    /// # Errors
    /// As [`Server::get`].
    pub async fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Answer> {
        let [start, end, step] = [start, end, step].map(seconds);
        let parameters = [
            ("query", query),
            ("dedup", "true"),
            ("start", &*start),
            ("end", &*end),
            ("step", &*step),
        ];
        answer(&self.get("/api/v1/query_range", &parameters).await?)
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn answer(body: &Value) -> Result<Answer> {
    ensure!(body["status"] == "success", "not a success: {body}");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let result = body["data"]["result"].as_array().context("no result")?;
    let series = result.iter().map(series).collect::<Result<_>>()?;
    let warnings = list(&body["warnings"]);
    Ok(Answer {
        series,
        warnings: warnings.iter().map(ToString::to_string).collect(),
    })
}

fn series(value: &Value) -> Result<Series> {
    let labels = serde_json::from_value(value["metric"].clone()).context("read labels")?;
    let samples = match value["values"].as_array() {
        Some(samples) => samples.iter().map(sample).collect::<Result<_>>()?,
        None => vec![sample(&value["value"])?],
    };
    Ok(Series { labels, samples })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a time in milliseconds fits for another 280,000 years"
)]
fn sample(value: &Value) -> Result<(i64, String)> {
    let time = value[0].as_f64().context("a sample without a time")?;
    let text = value[1].as_str().context("a sample without a value")?;
    Ok(((time * 1000.0).round() as i64, text.to_owned()))
}

/// Checks that samples lie no further apart than `widest` milliseconds from `start` to `end`, each
/// later than the one before.
///
/// # Errors
/// Where the first gap, or the first step back, is.
pub fn no_gap(samples: &[(i64, String)], start: i64, end: i64, widest: i64) -> Result<()> {
    let mut before = start;
    for (index, &(time, _)) in samples.iter().enumerate() {
        ensure!(
            index == 0 || time > before,
            "sample {index} at {time} is not later than the one at {before}"
        );
        ensure!(
            time - before <= widest,
            "no sample from {before} to {time}, for {} ms of {start} to {end}",
            time - before
        );
        before = time;
    }
    ensure!(
        end - before <= widest,
        "no sample from {before} on, for {} ms of {start} to {end}",
        end - before
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(times: &[i64]) -> Vec<(i64, String)> {
        times.iter().map(|&time| (time, "1".to_owned())).collect()
    }

    #[test]
    fn gaps_are_found_at_the_start_between_and_at_the_end() {
        no_gap(&at(&[5, 10, 15]), 0, 20, 5).expect("no gap");
        for (samples, wrong) in [
            (
                at(&[10, 15, 20]),
                "no sample from 0 to 10, for 10 ms of 0 to 20",
            ),
            (
                at(&[5, 15, 20]),
                "no sample from 5 to 15, for 10 ms of 0 to 20",
            ),
            (at(&[5, 10]), "no sample from 10 on, for 10 ms of 0 to 20"),
            (at(&[]), "no sample from 0 on, for 20 ms of 0 to 20"),
            (
                at(&[5, 5, 10]),
                "sample 1 at 5 is not later than the one at 5",
            ),
        ] {
            let error = no_gap(&samples, 0, 20, 5).expect_err(wrong);
            assert_eq!(error.to_string(), wrong);
        }
    }

    #[test]
    fn vectors_and_matrices_are_read() {
        let body = json!({"status": "success", "warnings": ["a store is down"], "data": {"result": [
            {"metric": {"job": "a"}, "value": [1.5, "2"]},
            {"metric": {}, "values": [[1, "2"], [2.001, "NaN"]]},
        ]}});
        let answer = answer(&body).expect("an answer");
        assert_eq!(answer.series[0].label("job"), "a");
        assert_eq!(answer.series[0].samples, [(1500, "2".to_owned())]);
        assert_eq!(answer.series[1].samples[1], (2001, "NaN".to_owned()));
        assert_eq!(answer.warnings.len(), 1);
        assert!(answer.only().is_err());
    }
}
