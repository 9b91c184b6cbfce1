//! Durations and byte sizes the way people write them in flags and YAML.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}; write it like {example}")]
pub struct ParseUnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// A length of time, written `90s`, `1h30m`, `1.5s`, `250ms` or `15d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(pub Duration);

const NANOS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
    ("y", 31_536_000_000_000_000),
];

impl FromStr for HumanDuration {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUnitError {
            text: text.to_owned(),
            what: "duration",
            example: "90s, 1h30m or 15d",
        };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut total_nanos: u64 = 0;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(bad)?;
            let (number, after) = rest.split_at(digits);
            let unit_end = after
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(unit_end);
            let per = NANOS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(bad)?
                .1;
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            let mut nanos = whole
                .parse::<u64>()
                .map_err(|_| bad())?
                .checked_mul(per)
                .ok_or_else(bad)?;
            let mut place = per;
            for digit in fraction.chars() {
                place /= 10;
                nanos = u64::from(digit.to_digit(10).ok_or_else(bad)?)
                    .checked_mul(place)
                    .and_then(|part| nanos.checked_add(part))
                    .ok_or_else(bad)?;
            }
            total_nanos = total_nanos.checked_add(nanos).ok_or_else(bad)?;
            rest = after;
        }
        Ok(Self(Duration::from_nanos(total_nanos)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        // Weeks and years are understood but not printed: Go prints hours, Prometheus days.
        for (name, per) in NANOS[..7].iter().rev() {
            let count = nanos / per;
            if count > 0 {
                write!(f, "{count}{name}")?;
                nanos -= count * per;
            }
        }
        Ok(())
    }
}

/// A number of bytes, written `512`, `64KiB`, `250MB` or `2GB`; all multiples are of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

const BYTES: [(&str, u64); 14] = [
    ("", 1),
    ("B", 1),
    ("KB", 1 << 10),
    ("KiB", 1 << 10),
    ("K", 1 << 10),
    ("MB", 1 << 20),
    ("MiB", 1 << 20),
    ("M", 1 << 20),
    ("GB", 1 << 30),
    ("GiB", 1 << 30),
    ("G", 1 << 30),
    ("TB", 1 << 40),
    ("TiB", 1 << 40),
    ("T", 1 << 40),
];

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseUnitError {
            text: text.to_owned(),
            what: "byte size",
            example: "64KiB, 250MB or 2GB",
        };
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let per = BYTES
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(bad)?
            .1;
        let bytes = number
            .parse::<u64>()
            .map_err(|_| bad())?
            .checked_mul(per)
            .ok_or_else(bad)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, per) in [
            ("TiB", 1u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ] {
            if self.0 >= per && self.0.is_multiple_of(per) {
                return write!(f, "{}{name}", self.0 / per);
            }
        }
        write!(f, "{}B", self.0)
    }
}

macro_rules! serde_by_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
serde_by_text!(HumanDuration);
serde_by_text!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, seconds, printed) in [
            ("90s", 90.0, "1m30s"),
            ("1h30m", 5400.0, "1h30m"),
            ("1.5s", 1.5, "1s500ms"),
            ("250ms", 0.25, "250ms"),
            ("15d", 15.0 * 86_400.0, "15d"),
            ("2w", 14.0 * 86_400.0, "14d"),
            ("0", 0.0, "0s"),
            ("0s", 0.0, "0s"),
        ] {
            let parsed: HumanDuration = text.parse().expect(text);
            assert!((parsed.0.as_secs_f64() - seconds).abs() < 1e-9, "{text}");
            assert_eq!(parsed.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<HumanDuration>().expect(printed), parsed);
        }
    }

    #[test]
    fn nonsense_durations_are_refused_by_name() {
        for text in [
            "",
            "5",
            "s",
            "5x",
            "-1s",
            "1.s.s",
            "99999999999y",
            ".",
            "1h 2m",
        ] {
            let error = text.parse::<HumanDuration>().expect_err(text);
            assert!(error.to_string().contains("not a duration"), "{error}");
        }
    }

    #[test]
    fn sizes_are_multiples_of_1024() {
        for (text, bytes, printed) in [
            ("250MB", 250 << 20, "250MiB"),
            ("2GB", 2 << 30, "2GiB"),
            ("512", 512, "512B"),
            ("64KiB", 64 << 10, "64KiB"),
        ] {
            let parsed: ByteSize = text.parse().expect(text);
            assert_eq!(parsed.0, bytes);
            assert_eq!(parsed.to_string(), printed);
        }
        for text in ["", "MB", "1XB", "99999999999999TB", "-1"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
