//! Prometheus' duration texts, e.g. `1h30m`, `5m`, `1d`, `100ms`.

use thiserror::Error;

/// A text that is no duration.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseDurationError {
    #[error("empty duration string")]
    Empty,
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
    #[error("duration out of range")]
    OutOfRange,
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a Prometheus duration into milliseconds: units `y w d h m s ms`, each at most once and in
/// that order; `0` alone needs no unit.
///
/// # Errors
/// A text of another shape, or one past 2^63 nanoseconds (about 292 years), as in Prometheus.
pub fn parse_duration(text: &str) -> Result<i64, ParseDurationError> {
    if text.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    if text == "0" {
        return Ok(0);
    }
    let invalid = || ParseDurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(invalid());
        }
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        if unit.is_empty() {
            return Err(invalid());
        }
        let position = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| ParseDurationError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
        if position < next_unit {
            return Err(invalid());
        }
        next_unit = position + 1;
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let number = i64::try_from(number).map_err(|_| ParseDurationError::OutOfRange)?;
        let factor = UNITS.get(position).map_or(1, |(_, ms)| *ms);
        total = number
            .checked_mul(factor)
            .and_then(|ms| total.checked_add(ms))
            .filter(|ms| *ms <= i64::MAX / 1_000_000)
            .ok_or(ParseDurationError::OutOfRange)?;
        rest = tail;
    }
    Ok(total)
}

/// Formats milliseconds as Prometheus prints a duration; years and weeks appear only where nothing is
/// left over, since `90d` reads better than `12w6d`.
#[must_use]
pub fn format_duration(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    let mut rest = ms.unsigned_abs();
    if ms < 0 {
        out.push('-');
    }
    for (unit, factor) in UNITS {
        let factor = factor.unsigned_abs();
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(factor) {
            continue;
        }
        let n = rest / factor;
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
            rest %= factor;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_prometheus() {
        for (text, message) in [
            ("", "empty duration string"),
            ("5y1hs", "unknown unit \"hs\" in duration \"5y1hs\""),
            ("2.5s", "unknown unit \".\" in duration \"2.5s\""),
            ("5", "not a valid duration string: \"5\""),
            ("5m1h", "not a valid duration string: \"5m1h\""),
            (
                "99999999999999999999s",
                "not a valid duration string: \"99999999999999999999s\"",
            ),
            ("300y", "duration out of range"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn durations_parse_as_in_prometheus() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1y", 31_536_000_000),
            ("3w2d1h", 3 * 604_800_000 + 2 * 86_400_000 + 3_600_000),
            ("324ms", 324),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        for text in ["", "1", "m", "5mm", "5m1h", "-5m", "1.5h", "1h1h", "294y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_in_prometheus() {
        for (ms, text) in [
            (0, "0s"),
            (324, "324ms"),
            (3_000, "3s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (86_400_000, "1d"),
            (90_000_000, "1d1h"),
            (8 * 86_400_000, "8d"),
            (14 * 86_400_000, "2w"),
            (31_536_000_000, "1y"),
        ] {
            assert_eq!(format_duration(ms), text);
            assert_eq!(parse_duration(text), Ok(ms));
        }
    }
}
