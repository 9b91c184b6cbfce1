//! Answers of range queries: taken apart, cut, and put together again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The body of an answer.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Envelope {
    status: String,
    pub(crate) data: Data,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) infos: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data {
    result_type: String,
    pub(crate) result: Vec<Series>,
}

/// A series: its labels, and points in order of time.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Series {
    pub(crate) metric: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<Point<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) histograms: Vec<Point<Value>>,
}

/// `[seconds, value]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Point<T>(pub(crate) Seconds, pub(crate) T);

/// A time, kept in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "f64")]
pub(crate) struct Seconds(pub(crate) i64);

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        Self((seconds * 1000.0).round() as i64)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            return serializer.serialize_i64(self.0 / 1000);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl Envelope {
    /// Reads a successful answer; `None` where it is of another shape and must not be touched.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(body).ok()?;
        (envelope.status == "success" && envelope.data.result_type == "matrix").then_some(envelope)
    }

    /// Returns an answer of these series.
    pub(crate) fn of(result: Vec<Series>) -> Self {
        Self {
            status: "success".to_owned(),
            data: Data {
                result_type: "matrix".to_owned(),
                result,
            },
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// Returns the body.
    pub(crate) fn write(&self) -> Vec<u8> {
        // Writing to memory cannot fail, and no type here refuses to be serialised.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Series {
    /// Keeps the points from `start` to `end`, milliseconds, both included.
    pub(crate) fn within(&self, start: i64, end: i64) -> Option<Self> {
        fn cut<T: Clone>(points: &[Point<T>], start: i64, end: i64) -> Vec<Point<T>> {
            let from = points.partition_point(|point| point.0.0 < start);
            let to = points.partition_point(|point| point.0.0 <= end);
            points.get(from..to).unwrap_or_default().to_vec()
        }
        let cut = Self {
            metric: self.metric.clone(),
            values: cut(&self.values, start, end),
            histograms: cut(&self.histograms, start, end),
        };
        (!cut.values.is_empty() || !cut.histograms.is_empty()).then_some(cut)
    }

    /// About how many bytes it holds.
    pub(crate) fn weight(&self) -> u64 {
        const POINT: usize = 48;
        const LABEL: usize = 64;
        const BUCKET: usize = 96;
        let labels: usize = self
            .metric
            .iter()
            .map(|(name, value)| LABEL + name.len() + value.len())
            .sum();
        let buckets: usize = self
            .histograms
            .iter()
            .map(|point| point.1["buckets"].as_array().map_or(0, Vec::len))
            .sum();
        (labels + (self.values.len() + self.histograms.len()) * POINT + buckets * BUCKET) as u64
    }
}

/// Puts parts together that follow each other in time; series come out in label order.
pub(crate) fn join(parts: impl IntoIterator<Item = Vec<Series>>) -> Vec<Series> {
    let mut joined: BTreeMap<BTreeMap<String, String>, Series> = BTreeMap::new();
    for series in parts.into_iter().flatten() {
        match joined.get_mut(&series.metric) {
            Some(known) => {
                known.values.extend(series.values);
                known.histograms.extend(series.histograms);
            }
            None => {
                joined.insert(series.metric.clone(), series);
            }
        }
    }
    joined.into_values().collect()
}

/// Adds texts that are not there yet.
pub(crate) fn add_texts(all: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !all.contains(&text) {
            all.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(job: &str, times: &[i64]) -> Series {
        Series {
            metric: BTreeMap::from([("job".to_owned(), job.to_owned())]),
            values: times
                .iter()
                .map(|t| Point(Seconds(*t), t.to_string()))
                .collect(),
            histograms: Vec::new(),
        }
    }

    #[test]
    fn parts_are_joined_in_label_order_and_cut_by_time() {
        let joined = join([
            vec![series("b", &[1000, 2000])],
            vec![series("a", &[3000]), series("b", &[3000, 4000])],
        ]);
        assert_eq!(
            joined,
            [series("a", &[3000]), series("b", &[1000, 2000, 3000, 4000])]
        );
        assert_eq!(
            joined[1].within(2000, 3000),
            Some(series("b", &[2000, 3000]))
        );
        assert_eq!(joined[0].within(0, 2999), None);
    }

    #[test]
    fn a_body_is_written_as_it_was_read() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"2"],[1.5,"NaN"]],"histograms":[[2,{"count":"1","sum":"2"}]]}]},"warnings":["w"]}"#;
        let envelope = Envelope::parse(body.as_bytes()).expect("a matrix");
        assert_eq!(String::from_utf8(envelope.write()).expect("utf-8"), body);
        assert!(
            Envelope::parse(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#)
                .is_none()
        );
    }
}
