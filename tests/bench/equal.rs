//! Whether two answers are the same: series, times and the bits of every value.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::Value as Json;

type Points = Vec<(String, String)>;

/// # Errors
/// The first difference.
pub(crate) fn answers(expected: &[u8], found: &[u8]) -> Result<()> {
    let (expected, found) = (series(expected)?, series(found)?);
    for (labels, points) in &expected {
        let Some(other) = found.get(labels) else {
            bail!("no series {labels}")
        };
        ensure!(
            points.len() == other.len(),
            "{labels}: {} points instead of {}",
            other.len(),
            points.len()
        );
        for (a, b) in points.iter().zip(other) {
            ensure!(a == b, "{labels}: {b:?} instead of {a:?}");
        }
    }
    ensure!(
        found.len() == expected.len(),
        "{} series instead of {}",
        found.len(),
        expected.len()
    );
    ensure!(!expected.is_empty(), "nothing to compare");
    Ok(())
}

/// Returns the points by label set; values stay texts, since both sides print the shortest exact one.
fn series(body: &[u8]) -> Result<BTreeMap<String, Points>> {
    let json: Json = serde_json::from_slice(body)?;
    ensure!(json["status"] == "success", "{}", json["error"]);
    let mut all = BTreeMap::new();
    let result = match &json["data"]["result"] {
        Json::Array(result) if json["data"]["resultType"] != "scalar" => result.clone(),
        scalar => vec![serde_json::json!({"metric": {}, "value": scalar})],
    };
    for entry in &result {
        let point = |p: &Json| {
            (
                p[0].to_string(),
                p[1].as_str().unwrap_or_default().to_owned(),
            )
        };
        let points: Points = match &entry["values"] {
            Json::Array(values) => values.iter().map(point).collect(),
            _ => vec![point(&entry["value"])],
        };
        all.insert(entry["metric"].to_string(), points);
    }
    Ok(all)
}
