//! Queries and answers, as both sides give them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

/// An expression with the times it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) expr: String,
    pub(crate) times: Times,
}

/// Milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Instant { at: i64 },
    Range { start: i64, end: i64, step: i64 },
}

/// Label names and values; both sides print them sorted by name.
pub(crate) type LabelSet = BTreeMap<String, String>;

/// What a side says to a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) warnings: BTreeSet<String>,
    pub(crate) infos: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Error {
        kind: String,
        message: String,
    },
    Scalar(i64, f64),
    String(i64, String),
    /// In the order of the answer.
    Vector(Vec<(LabelSet, i64, f64)>),
    /// In the order of the answer.
    Matrix(Vec<(LabelSet, Vec<(i64, f64)>)>),
}

impl Default for Outcome {
    fn default() -> Self {
        Self::Vector(Vec::new())
    }
}

impl Outcome {
    /// A word for the kind of outcome.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Self::Error { .. } => "error",
            Self::Scalar(..) => "scalar",
            Self::String(..) => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }

    /// Whether there is nothing to compare in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Vector(samples) => samples.is_empty(),
            Self::Matrix(series) => series.is_empty(),
            _ => false,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            Times::Instant { at } => write!(f, "{}  at {}", self.expr, Seconds(at)),
            Times::Range { start, end, step } => {
                let (start, end, step) = (Seconds(start), Seconds(end), Seconds(step));
                write!(f, "{}  from {start} to {end} by {step}", self.expr)
            }
        }
    }
}

/// Milliseconds as the API's decimal seconds.
pub(crate) struct Seconds(pub(crate) i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let ms = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:03}", ms / 1000, ms % 1000)
    }
}

impl Answer {
    /// Reads the body of `/api/v1/query` or `/api/v1/query_range`.
    pub(crate) fn from_json(body: &Json) -> Result<Self> {
        let texts = |key: &str| -> BTreeSet<String> {
            let list = body[key].as_array().into_iter().flatten();
            list.filter_map(|text| text.as_str().map(str::to_owned))
                .collect()
        };
        Ok(Self {
            outcome: outcome(body)?,
            warnings: texts("warnings"),
            infos: texts("infos"),
        })
    }
}

fn outcome(body: &Json) -> Result<Outcome> {
    match body["status"].as_str() {
        Some("success") => {}
        Some("error") => {
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            return Ok(Outcome::Error {
                kind: text("errorType"),
                message: text("error"),
            });
        }
        _ => bail!("no status in {body}"),
    }
    let data = &body["data"];
    let result = &data["result"];
    Ok(
        match data["resultType"].as_str().context("no result type")? {
            "scalar" => {
                let (t, value) = point(result)?;
                Outcome::Scalar(t, value)
            }
            "string" => {
                let text = result[1].as_str().context("a string without text")?;
                Outcome::String(time(&result[0])?, text.to_owned())
            }
            "vector" => {
                let samples = result.as_array().context("a vector without list")?.iter();
                let read = samples.map(|sample| {
                    let (t, value) = point(&sample["value"])?;
                    Ok((labels(&sample["metric"])?, t, value))
                });
                Outcome::Vector(read.collect::<Result<_>>()?)
            }
            "matrix" => {
                let series = result.as_array().context("a matrix without list")?.iter();
                let read = series.map(|series| {
                    let points = series["values"]
                        .as_array()
                        .context("a series without values")?;
                    let points = points.iter().map(point).collect::<Result<_>>()?;
                    Ok((labels(&series["metric"])?, points))
                });
                Outcome::Matrix(read.collect::<Result<_>>()?)
            }
            other => bail!("result type {other:?}"),
        },
    )
}

fn labels(metric: &Json) -> Result<LabelSet> {
    let pairs = metric
        .as_object()
        .context("a metric that is no object")?
        .iter();
    pairs
        .map(|(name, value)| {
            let value = value.as_str().context("a label value that is no text")?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

fn point(pair: &Json) -> Result<(i64, f64)> {
    let text = pair[1].as_str().context("a point without value")?;
    let value = match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().with_context(|| format!("value {text:?}"))?,
    };
    Ok((time(&pair[0])?, value))
}

fn time(seconds: &Json) -> Result<i64> {
    let seconds = seconds.as_f64().context("a point without time")?;
    Ok((seconds * 1000.0).round() as i64)
}
