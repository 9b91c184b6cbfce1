//! How much a scrape may bring: the author's limits within the stack's bounds.

use crds::coreos::endpoint::Limits;
use crds::prometheus::ScrapeLimits;
use serde_json::{Map, Value, json};

use super::job::Scope;

/// Upper bounds for every job of a stack, which stand in the global section as well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    numbers: Vec<(&'static str, i64)>,
    body_size: Option<String>,
}

impl Bounds {
    /// The bounds of a stack's spec.
    pub fn new(limits: &ScrapeLimits) -> Self {
        let numbers = [
            ("sample_limit", limits.samples),
            ("target_limit", limits.targets),
            ("label_limit", limits.labels),
            ("label_name_length_limit", limits.label_name_length),
            ("label_value_length_limit", limits.label_value_length),
            ("keep_dropped_targets", limits.dropped_targets),
        ];
        Self {
            numbers: numbers
                .into_iter()
                .filter_map(|(name, bound)| Some((name, bound.filter(|bound| *bound > 0)?)))
                .collect(),
            body_size: limits.body_size.clone(),
        }
    }

    /// Their place in the global section: there they hold for jobs that say nothing.
    pub fn set_global(&self, global: &mut Value) {
        for (name, bound) in &self.numbers {
            global[*name] = json!(bound);
        }
        if let Some(size) = &self.body_size {
            global["body_size_limit"] = size.as_str().into();
        }
    }

    fn of(&self, name: &str) -> Option<i64> {
        let found = self.numbers.iter().find(|(known, _)| *known == name)?;
        Some(found.1)
    }

    /// The smaller of both; zero is no limit.
    fn number(&self, name: &str, wanted: Option<i64>) -> Option<i64> {
        match (wanted, self.of(name)) {
            (wanted, None) => wanted,
            // The global section says it.
            (None | Some(0), Some(_)) => None,
            (Some(wanted), Some(bound)) => Some(wanted.min(bound)),
        }
    }
}

/// Sets the limits and formats of a job.
///
/// # Errors
/// Where one is no number or no known format.
pub fn set(job: &mut Map<String, Value>, limits: &Limits, scope: &Scope<'_>) -> Result<(), String> {
    let bounds = scope.context.bounds;
    for (field, name, wanted) in [
        ("sampleLimit", "sample_limit", limits.sample_limit),
        ("targetLimit", "target_limit", limits.target_limit),
        ("labelLimit", "label_limit", limits.label_limit),
        (
            "labelNameLengthLimit",
            "label_name_length_limit",
            limits.label_name_length_limit,
        ),
        (
            "labelValueLengthLimit",
            "label_value_length_limit",
            limits.label_value_length_limit,
        ),
        (
            "keepDroppedTargets",
            "keep_dropped_targets",
            limits.keep_dropped_targets,
        ),
    ] {
        if wanted.is_some_and(|wanted| wanted < 0) {
            return Err(format!("{field} must not be negative"));
        }
        if let Some(limit) = bounds.number(name, wanted) {
            job.insert(name.to_owned(), limit.into());
        }
    }
    if let Some(size) = body_size(limits.body_size_limit.as_deref(), scope)? {
        job.insert("body_size_limit".to_owned(), size.into());
    }
    set_formats(job, limits, scope)
}

fn body_size(wanted: Option<&str>, scope: &Scope<'_>) -> Result<Option<String>, String> {
    let Some(wanted) = wanted.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bytes = bytes(wanted)
        .ok_or_else(|| format!("bodySizeLimit: {wanted:?} is no size such as 10MB"))?;
    let bound = scope.context.bounds.body_size.as_deref();
    let chosen = match bound.and_then(|text| Some((text, self::bytes(text)?))) {
        Some((_, _)) if bytes == 0 => return Ok(None),
        Some((text, bound)) if bound < bytes => text,
        _ => wanted,
    };
    Ok(Some(chosen.to_owned()))
}

/// A size in Prometheus' notation, where `KB` and `KiB` both are 1024 bytes.
pub fn bytes(text: &str) -> Option<u128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit.replace('i', "").as_str() {
        "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        "PB" => 5,
        "EB" => 6,
        "" if number == "0" => 0,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let digits = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let fraction: u128 = digits.parse::<u64>().ok()?.into();
    let unit = 1024_u128.pow(power);
    Some(whole.checked_mul(unit)? + fraction * unit / scale)
}

fn set_formats(
    job: &mut Map<String, Value>,
    limits: &Limits,
    scope: &Scope<'_>,
) -> Result<(), String> {
    const PROTOCOLS: [&str; 5] = [
        "PrometheusProto",
        "OpenMetricsText0.0.1",
        "OpenMetricsText1.0.0",
        "PrometheusText0.0.4",
        "PrometheusText1.0.0",
    ];
    let fallback = limits.fallback_scrape_protocol.iter();
    for protocol in limits.scrape_protocols.iter().chain(fallback) {
        if !PROTOCOLS.contains(&protocol.as_str()) {
            return Err(format!("{protocol:?} is no scrape protocol"));
        }
    }
    if !limits.scrape_protocols.is_empty() {
        job.insert("scrape_protocols".into(), json!(limits.scrape_protocols));
    }
    if let Some(fallback) = &limits.fallback_scrape_protocol {
        job.insert("fallback_scrape_protocol".into(), fallback.as_str().into());
    }
    if let Some(wanted) = limits.scrape_native_histograms {
        scope.set_since(job, 8, "scrape_native_histograms", wanted.into());
    }
    if let Some(wanted) = limits.scrape_classic_histograms {
        job.insert("always_scrape_classic_histograms".into(), wanted.into());
    }
    if let Some(limit) = limits.native_histogram_bucket_limit {
        job.insert("native_histogram_bucket_limit".into(), limit.into());
    }
    if let Some(factor) = &limits.native_histogram_min_bucket_factor {
        let number = match factor {
            Value::String(text) => crate::quantity::parse_float(text),
            other => other.as_f64(),
        };
        let number = number
            .ok_or_else(|| format!("nativeHistogramMinBucketFactor: {factor} is no number"))?;
        job.insert("native_histogram_min_bucket_factor".into(), json!(number));
    }
    if let Some(wanted) = limits.convert_classic_histograms_to_nhcb {
        job.insert("convert_classic_histograms_to_nhcb".into(), wanted.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_as_prometheus_reads_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("512B", Some(512)),
            ("1KB", Some(1024)),
            ("1KiB", Some(1024)),
            ("1.5MB", Some(1_572_864)),
            ("2GB", Some(2 << 30)),
            ("5", None),
            ("MB", None),
            ("1XB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
