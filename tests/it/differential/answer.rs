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

/// The value of a point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Histogram(Box<Native>),
}

/// A native histogram, as answers show it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Native {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// Which bounds are inside, the lower and the upper bound, and the count.
    pub(crate) buckets: Vec<(u64, f64, f64, f64)>,
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
    Vector(Vec<(LabelSet, i64, Value)>),
    /// In the order of the answer.
    Matrix(Vec<(LabelSet, Vec<(i64, Value)>)>),
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
                    let (t, value) = match &sample["histogram"] {
                        Json::Null => float_point(&sample["value"])?,
                        histogram => histogram_point(histogram)?,
                    };
                    Ok((labels(&sample["metric"])?, t, value))
                });
                Outcome::Vector(read.collect::<Result<_>>()?)
            }
            "matrix" => {
                let series = result.as_array().context("a matrix without list")?.iter();
                let read = series.map(|series| {
                    let list = |key: &str| series[key].as_array().into_iter().flatten();
                    let floats = list("values").map(float_point);
                    let histograms = list("histograms").map(histogram_point);
                    let mut points = floats.chain(histograms).collect::<Result<Vec<_>>>()?;
                    points.sort_by_key(|(t, _)| *t);
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

fn float_point(pair: &Json) -> Result<(i64, Value)> {
    let (t, value) = point(pair)?;
    Ok((t, Value::Float(value)))
}

fn histogram_point(pair: &Json) -> Result<(i64, Value)> {
    let histogram = &pair[1];
    let buckets = histogram["buckets"].as_array().into_iter().flatten();
    let buckets = buckets.map(|bucket| {
        let bounds = bucket[0].as_u64().context("a bucket without bounds")?;
        Ok((
            bounds,
            number(&bucket[1])?,
            number(&bucket[2])?,
            number(&bucket[3])?,
        ))
    });
    let native = Native {
        count: number(&histogram["count"])?,
        sum: number(&histogram["sum"])?,
        buckets: buckets.collect::<Result<_>>()?,
    };
    Ok((time(&pair[0])?, Value::Histogram(Box::new(native))))
}

fn point(pair: &Json) -> Result<(i64, f64)> {
    Ok((time(&pair[0])?, number(&pair[1])?))
}

fn number(text: &Json) -> Result<f64> {
    match text.as_str().context("a point without value")? {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        text => text.parse().with_context(|| format!("value {text:?}")),
    }
}

fn time(seconds: &Json) -> Result<i64> {
    let seconds = seconds.as_f64().context("a point without time")?;
    Ok((seconds * 1000.0).round() as i64)
}
