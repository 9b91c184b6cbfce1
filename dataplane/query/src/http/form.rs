//! Request parameters: decoding with Prometheus' rules and texts.

use model::{Matcher, parse_duration};

use super::error::ApiError;

/// The earliest time a parameter may mean; Prometheus' `MinTime` in milliseconds.
pub(super) const MIN_TIME_MS: i64 = (i64::MIN / 1000 + 62_135_596_801) * 1000;
/// The latest time a parameter may mean; Prometheus' `MaxTime` in milliseconds.
pub(super) const MAX_TIME_MS: i64 = (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999;

const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

const NANOS_PER_SECOND: f64 = 1e9;

/// The parameters of a request, those of the body before those of the URL; names may repeat.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Decodes a URL's query and, if there is one, a form body.
    pub(super) fn decode(query: &str, body: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(body)
                .chain(form_urlencoded::parse(query.as_bytes()))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// Returns the first value of `name`; the empty string where it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, value)| value)
    }

    /// Returns every value of `name` in the order given.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the time `name`, in milliseconds.
    ///
    /// # Errors
    /// The parameter is missing or is no time.
    pub(super) fn time(&self, name: &'static str) -> Result<i64, ApiError> {
        parse_time(self.get(name)).map_err(|text| ApiError::invalid_parameter(name, text))
    }

    /// Returns the time `name`, in milliseconds, or `default` where it is absent.
    ///
    /// # Errors
    /// The parameter is no time.
    pub(super) fn time_or(&self, name: &'static str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|reason| {
                ApiError::invalid_parameter(
                    name,
                    format!("invalid time value for '{name}': {reason}"),
                )
            }),
        }
    }

    /// Returns the duration `name` in nanoseconds, `None` where it is absent.
    ///
    /// # Errors
    /// The parameter is no duration.
    pub(super) fn duration_nanos(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration_nanos(text)
                .map(Some)
                .map_err(|reason| ApiError::invalid_parameter(name, reason)),
        }
    }

    /// Returns the limit, 0 for none.
    ///
    /// # Errors
    /// The parameter is no number, or negative.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let limit = atoi(text).map_err(|reason| ApiError::invalid_parameter("limit", reason))?;
        usize::try_from(limit)
            .map_err(|_| ApiError::invalid_parameter("limit", "limit must be non-negative".into()))
    }

    /// Returns the switch `name`, or `default` where it is absent.
    ///
    /// # Errors
    /// The parameter is none of the words Go's `ParseBool` knows.
    pub(super) fn switch(&self, name: &'static str, default: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            text => Err(ApiError::bad_data(format!(
                "'{name}' parameter: strconv.ParseBool: parsing {}: invalid syntax",
                model::labels::quote(text)
            ))),
        }
    }

    /// Returns the selectors given as `name`, each as its matchers.
    ///
    /// # Errors
    /// A text that is no selector.
    pub(super) fn selectors(&self, name: &'static str) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all(name)
            .map(|text| {
                promql::parse_metric_selector(text)
                    .map_err(|error| ApiError::invalid_parameter(name, error.to_string()))
            })
            .collect()
    }

    /// Returns the selectors given as `match[]`.
    ///
    /// # Errors
    /// What is wrong with one: it does not parse, or every series would pass. Whether the text names
    /// the parameter depends on the call.
    pub(super) fn series_selectors(&self) -> Result<Vec<Vec<Matcher>>, String> {
        let texts: Vec<&str> = self.all("match[]").collect();
        promql::parse_series_matchers(&texts).map_err(|error| error.to_string())
    }
}

/// Reads Unix seconds (with a fraction) or RFC 3339, into milliseconds.
fn parse_time(text: &str) -> Result<i64, String> {
    if let Some(seconds) = parse_float(text) {
        let whole = seconds.trunc();
        let fraction = ((seconds - whole) * 1000.0).round() / 1000.0;
        // Saturating casts: a number beyond 2^63 seconds means the end of time.
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let (whole, nanos) = (whole as i64, (fraction * NANOS_PER_SECOND) as i64);
        return Ok(whole
            .saturating_mul(1000)
            .saturating_add(nanos.div_euclid(1_000_000)));
    }
    if is_rfc3339(text)
        && let Ok(timestamp) = text.parse::<jiff::Timestamp>()
    {
        let nanos = timestamp.as_nanosecond();
        return i64::try_from(nanos.div_euclid(1_000_000)).map_err(|_| not_a_time(text));
    }
    match text {
        MIN_TIME_TEXT => Ok(MIN_TIME_MS),
        MAX_TIME_TEXT => Ok(MAX_TIME_MS),
        _ => Err(not_a_time(text)),
    }
}

fn not_a_time(text: &str) -> String {
    format!(
        "cannot parse {} to a valid timestamp",
        model::labels::quote(text)
    )
}

/// Accepts `2006-01-02T15:04:05[.fraction](Z|±hh:mm)` only; the date library takes more.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = |pattern: &[u8], part: &[u8]| {
        part.len() == pattern.len()
            && part.iter().zip(pattern).all(|(byte, want)| match want {
                b'0' => byte.is_ascii_digit(),
                want => byte == want,
            })
    };
    let Some((head, tail)) = bytes.split_at_checked(19) else {
        return false;
    };
    if !shape(b"0000-00-00T00:00:00", head) {
        return false;
    }
    let digits = tail
        .strip_prefix(b".")
        .map(|rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let zone = match digits {
        Some(0) => return false,
        Some(n) => &tail[n + 1..],
        None => tail,
    };
    matches!(zone, b"Z") || shape(b"+00:00", zone) || shape(b"-00:00", zone)
}

/// Reads seconds (with a fraction) or a Prometheus duration, into nanoseconds.
pub(super) fn parse_duration_nanos(text: &str) -> Result<i64, String> {
    let quoted = || model::labels::quote(text);
    if let Some(seconds) = parse_float(text) {
        let nanos = seconds * NANOS_PER_SECOND;
        #[expect(
            clippy::cast_precision_loss,
            reason = "the bounds Prometheus compares with"
        )]
        if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
            return Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quoted()
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked above; NaN becomes 0"
        )]
        return Ok(nanos as i64);
    }
    parse_duration(text)
        .ok()
        .and_then(|ms| ms.checked_mul(1_000_000))
        .ok_or_else(|| format!("cannot parse {} to a valid duration", quoted()))
}

/// Reads a float as Go's `ParseFloat` does for the texts that occur.
fn parse_float(text: &str) -> Option<f64> {
    text.parse::<f64>().ok()
}

/// Reads an integer, with the error text of Go's `Atoi`.
pub(super) fn atoi(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| {
        let reason = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                "value out of range"
            }
            _ => "invalid syntax",
        };
        format!(
            "strconv.Atoi: parsing {}: {reason}",
            model::labels::quote(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_unix_seconds_or_rfc3339() {
        for (text, ms) in [
            ("0", 0),
            ("1435781451.781", 1_435_781_451_781),
            ("1435781451", 1_435_781_451_000),
            ("-1.5", -1_500),
            ("1e3", 1_000_000),
            ("2015-06-03T13:21:58.555Z", 1_433_337_718_555),
            ("2015-06-03T14:21:58.555+01:00", 1_433_337_718_555),
            ("2015-06-03T13:21:58Z", 1_433_337_718_000),
            (MIN_TIME_TEXT, MIN_TIME_MS),
            (MAX_TIME_TEXT, MAX_TIME_MS),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for text in [
            "",
            "foo",
            "30s",
            "2015-06-03",
            "2015-06-03 13:21:58Z",
            "2015-06-03T13:21:58",
        ] {
            assert_eq!(parse_time(text), Err(not_a_time(text)), "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_prometheus_durations() {
        for (text, nanos) in [
            ("0", 0),
            ("1.5", 1_500_000_000),
            ("5m", 300_000_000_000),
            ("1d", 86_400_000_000_000),
            ("-3", -3_000_000_000),
        ] {
            assert_eq!(parse_duration_nanos(text), Ok(nanos), "{text}");
        }
        for text in ["", "x", "1x", "1e300"] {
            assert!(parse_duration_nanos(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_duration_nanos("1e300"),
            Err("cannot parse \"1e300\" to a valid duration. It overflows int64".into())
        );
    }

    #[test]
    fn body_comes_before_url_and_names_repeat() {
        let form = Form::decode("match[]=b&time=2&x=%7B%22", b"match%5B%5D=a&time=1+2");
        assert_eq!(form.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.get("time"), "1 2");
        assert_eq!(form.get("x"), "{\"");
        assert_eq!(form.get("absent"), "");
    }

    #[test]
    fn switches_and_limits_are_refused_with_go_texts() {
        let form = Form::decode("dedup=maybe&limit=x&partial_response=0", b"");
        let text = |error: ApiError| error.to_string();
        assert_eq!(form.switch("partial_response", true).ok(), Some(false));
        assert_eq!(
            form.switch("dedup", true).map_err(text),
            Err("'dedup' parameter: strconv.ParseBool: parsing \"maybe\": invalid syntax".into())
        );
        assert_eq!(
            form.limit().map_err(text),
            Err("invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax".into())
        );
        assert_eq!(
            Form::decode("limit=-1", b"").limit().map_err(text),
            Err("invalid parameter \"limit\": limit must be non-negative".into())
        );
    }
}
