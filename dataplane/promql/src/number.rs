//! Floats as text, as Go writes them.

/// Returns the shortest text that reads back as `value`, never with an exponent: Go's `'f', -1`.
#[must_use]
pub fn format_f(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let Decimal {
        sign,
        digits,
        exponent,
    } = shortest(value);
    positional(sign, &digits, exponent)
}

/// Returns the shortest text that reads back as `value`, with an exponent below 1e-4 and from 1e6
/// on: Go's `%g`.
#[must_use]
pub fn format_g(value: f64) -> String {
    general(value, None)
}

/// Returns `value` with two significant digits: Go's `%.2g`.
#[must_use]
pub fn format_g2(value: f64) -> String {
    general(value, Some(2))
}

/// Returns the text of a bound in a label, as OpenMetrics has it: `1.0` rather than `1`.
#[must_use]
pub fn format_open_metrics(value: f64) -> String {
    let mut text = if value == 1.0 || value == 0.0 || value == -1.0 {
        // Written with a decimal point below; also drops the sign of zero.
        format!("{}", if value == 0.0 { 0.0 } else { value })
    } else {
        general(value, None)
    };
    if value.is_finite() && !text.contains(['e', '.']) {
        text.push_str(".0");
    }
    text
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let Decimal {
        sign,
        digits,
        exponent,
    } = match precision {
        None => shortest(value),
        Some(digits) => decimal(&format!("{value:.*e}", digits.saturating_sub(1))),
    };
    // Go decides by the precision, which counts as 6 for the shortest text.
    let threshold = match precision {
        None => 6,
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX),
    };
    if exponent < -4 || exponent >= threshold {
        let (head, tail) = digits.split_at(1);
        let point = if tail.is_empty() { "" } else { "." };
        let sign_of_exponent = if exponent < 0 { '-' } else { '+' };
        return format!(
            "{sign}{head}{point}{tail}e{sign_of_exponent}{:02}",
            exponent.abs()
        );
    }
    positional(sign, &digits, exponent)
}

/// Significant digits, at least one, the first before the decimal point.
struct Decimal {
    sign: &'static str,
    digits: String,
    exponent: i32,
}

/// Returns the fewest digits that read back as `value`, which is finite. Where several are as near, the
/// last one is even, as in Go; the standard library would round up.
fn shortest(value: f64) -> Decimal {
    decimal(ryu::Buffer::new().format_finite(value))
}

/// Takes a number apart: digits, maybe a point among them, maybe an exponent after them.
fn decimal(text: &str) -> Decimal {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{integer}{fraction}");
    let significant = all.trim_start_matches('0');
    if significant.is_empty() {
        return Decimal {
            sign,
            digits: "0".to_owned(),
            exponent: 0,
        };
    }
    let leading = all.len() - significant.len();
    let shift = integer.len() as i32 - 1 - leading as i32;
    Decimal {
        sign,
        digits: significant.trim_end_matches('0').to_owned(),
        exponent: exponent.parse::<i32>().unwrap_or(0) + shift,
    }
}

/// Writes a number without an exponent.
fn positional(sign: &str, digits: &str, exponent: i32) -> String {
    let Ok(integer_digits) = usize::try_from(exponent + 1) else {
        return format!(
            "{sign}0.{}{digits}",
            "0".repeat((-exponent - 1).unsigned_abs() as usize)
        );
    };
    if integer_digits == 0 {
        return format!("{sign}0.{digits}");
    }
    if digits.len() <= integer_digits {
        return format!(
            "{sign}{digits}{}",
            "0".repeat(integer_digits - digits.len())
        );
    }
    let (head, tail) = digits.split_at(integer_digits);
    format!("{sign}{head}.{tail}")
}

/// Reads a float as Go's `strconv.ParseFloat` does for label values: decimal, `Inf` and `NaN` in any
/// case; a number too large for a float is none.
#[must_use]
pub fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        // A sign before NaN is not a number to Go.
        "nan" if unsigned.len() == text.len() => f64::NAN,
        _ if lower
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'))
            && lower.bytes().any(|b| b.is_ascii_digit()) =>
        {
            lower
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())?
        }
        _ => return None,
    };
    Some(if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_go_writes_them() {
        for (value, f, g2) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.5, "1.5", "1.5"),
            (1e21, "1000000000000000000000", "1e+21"),
            (123_456.0, "123456", "1.2e+05"),
            (0.000_012_3, "0.0000123", "1.2e-05"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NAN, "NaN", "NaN"),
            (0.001, "0.001", "0.001"),
            (10.0, "10", "10"),
            (
                3_800_334_972_899_205.0 / 4.0,
                "950083743224801.2",
                "9.5e+14",
            ),
            (1234.5, "1234.5", "1.2e+03"),
        ] {
            assert_eq!(format_f(value), f);
            assert_eq!(format_g2(value), g2);
        }
    }

    #[test]
    fn bounds_are_read_as_go_reads_them() {
        for (text, value) in [
            ("+Inf", Some(f64::INFINITY)),
            ("0.1", Some(0.1)),
            ("-1e3", Some(-1000.0)),
        ] {
            assert_eq!(parse_float(text), value);
        }
        assert_eq!(parse_float(""), None);
        assert_eq!(parse_float("abc"), None);
        assert_eq!(parse_float("1x"), None);
    }
}
