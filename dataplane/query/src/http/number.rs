//! Numbers the way Prometheus' API writes them.

/// Appends `value` as Go's `strconv.FormatFloat(v, 'f', -1, 64)`, or its `'e'` form where the value is
/// below 1e-6 or from 1e21 on; without quotes.
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        let text: &[u8] = match (value.is_nan(), value > 0.0) {
            (true, _) => b"NaN",
            (false, true) => b"+Inf",
            (false, false) => b"-Inf",
        };
        out.extend_from_slice(text);
        return;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    // Most samples are whole numbers; up to 2^53 their digits are the shortest form.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and then is not equal"
    )]
    if value < 9_007_199_254_740_992.0 && value as u64 as f64 == value {
        push_u64(out, value as u64);
        return;
    }
    if push_few_decimals(out, value) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    match text.split_once('e') {
        None => {
            out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        }
        Some((mantissa, exponent)) => push_scientific(out, value, mantissa, exponent),
    }
}

/// Decimals that [`push_few_decimals`] writes, and what makes them whole.
const FEW: usize = 6;
const FEW_SCALE: f64 = 1e6;

/// Appends a positive value that is a number of at most six decimals and fifteen digits; returns false
/// for any other. No two such numbers are the same float, so the one that is this float is the shortest.
fn push_few_decimals(out: &mut Vec<u8>, value: f64) -> bool {
    if value >= 1e15 / FEW_SCALE {
        return false;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 0..10^15"
    )]
    let scaled = (value * FEW_SCALE + 0.5) as u64;
    // A quotient is rounded once, as reading the decimal is.
    if scaled as f64 / FEW_SCALE != value {
        return false;
    }
    let (whole, mut fraction) = (scaled / 1_000_000, scaled % 1_000_000);
    push_u64(out, whole);
    let mut digits = [b'.'; FEW + 1];
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = digits.iter().rposition(|digit| *digit != b'0');
    out.extend_from_slice(digits.get(..=end.unwrap_or(0)).unwrap_or_default());
    true
}

fn push_scientific(out: &mut Vec<u8>, value: f64, mantissa: &str, exponent: &str) {
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let rest = if rest == "0" { "" } else { rest };
    if !(1e-6..1e21).contains(&value) {
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        if exponent.abs() < 10 {
            out.push(b'0');
        }
        push_u64(out, u64::from(exponent.unsigned_abs()));
        return;
    }
    let zeros = |n: i32| std::iter::repeat_n(b'0', usize::try_from(n).unwrap_or(0));
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(zeros(-exponent - 1));
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(rest.as_bytes());
        return;
    }
    let after = usize::try_from(exponent).unwrap_or(0);
    out.extend_from_slice(first.as_bytes());
    match rest.split_at_checked(after) {
        Some((whole, fraction)) if !fraction.is_empty() => {
            out.extend_from_slice(whole.as_bytes());
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        }
        _ => {
            out.extend_from_slice(rest.as_bytes());
            out.extend(std::iter::repeat_n(b'0', after.saturating_sub(rest.len())));
        }
    }
}

/// Appends milliseconds as seconds, with three decimals where they are not whole.
pub(super) fn push_timestamp(out: &mut Vec<u8>, ms: i64) {
    if ms < 0 {
        out.push(b'-');
    }
    let ms = ms.unsigned_abs();
    push_u64(out, ms / 1000);
    let fraction = ms % 1000;
    if fraction != 0 {
        out.push(b'.');
        if fraction < 100 {
            out.push(b'0');
        }
        if fraction < 10 {
            out.push(b'0');
        }
        push_u64(out, fraction);
    }
}

/// Appends the decimal digits of `value`.
pub(super) fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn float(value: f64) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).expect("ascii")
    }

    fn timestamp(ms: i64) -> String {
        let mut out = Vec::new();
        push_timestamp(&mut out, ms);
        String::from_utf8(out).expect("ascii")
    }

    fn check_shortest(value: f64) {
        let text = float(value);
        assert_eq!(
            text.parse::<f64>().expect("a number").to_bits(),
            value.to_bits(),
            "{text}"
        );
        let magnitude = value.abs();
        let other = if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
            assert!(!text.contains('e'), "{text}");
            format!("{value}")
        } else {
            let plain = format!("{value:e}");
            let (mantissa, exponent) = plain.split_once('e').expect("exponent");
            let exponent: i32 = exponent.parse().expect("number");
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        };
        assert_eq!(text.len(), other.len(), "{text} and {other}");
    }

    #[test]
    #[expect(
        clippy::excessive_precision,
        reason = "the point is where the digits end"
    )]
    fn floats_are_written_as_go_does() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (20.0, "20"),
            (0.1, "0.1"),
            (123.456, "123.456"),
            (1e-6, "0.000001"),
            (1.5e-6, "0.0000015"),
            (9.99e-7, "9.99e-07"),
            (1e-7, "1e-07"),
            (1e20, "100000000000000000000"),
            (1.234_567_890_123_456_7e20, "123456789012345670000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            // Half-way between two shortest forms: the even one.
            (950_083_743_224_801.25, "950083743224801.2"),
            (123_456_789_012_345.125, "123456789012345.12"),
            (123_456_789_012_345.375, "123456789012345.38"),
            (7.58, "7.58"),
            (0.000_001, "0.000001"),
            (0.000_000_5, "5e-07"),
            (0.3 - 0.2, "0.09999999999999998"),
            (999_999_999.999_999, "999999999.999999"),
            (1_000_000_000.5, "1000000000.5"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn timestamps_are_seconds_with_three_decimals_or_none() {
        for (ms, text) in [
            (0, "0"),
            (1, "0.001"),
            (10, "0.010"),
            (100, "0.100"),
            (1001, "1.001"),
            (-1, "-0.001"),
            (-1500, "-1.500"),
            (1_435_781_451_781, "1435781451.781"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(timestamp(ms), text);
        }
    }

    /// By another library, whose ties go to the even digit too.
    fn check_digits(value: f64) {
        let mut buffer = ryu::Buffer::new();
        let digits = |text: &str| -> String {
            let mantissa = text.split_once('e').map_or(text, |(mantissa, _)| mantissa);
            let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
            digits.trim_matches('0').to_owned()
        };
        assert_eq!(digits(&float(value)), digits(buffer.format_finite(value)));
    }

    proptest! {
        /// Rust too prints the shortest digits, though it breaks ties between them another way.
        #[test]
        fn any_float_comes_back_and_is_as_short_as_can_be(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            check_shortest(value);
            check_digits(value);
        }

        #[test]
        fn any_everyday_float_comes_back_and_is_as_short_as_can_be(value in -1e15f64..1e15) {
            check_shortest(value);
            check_shortest(value.trunc());
            check_shortest((value / 1e9).round() / 1e3);
            check_digits(value);
            check_digits(value / 1e9);
        }

        #[test]
        fn few_decimals_are_written_as_they_are_read(
            digits in 0u64..10_000_000_000_000_000,
            decimals in 0u32..9,
        ) {
            #[expect(clippy::cast_precision_loss, reason = "any float will do")]
            let value = digits as f64 / 10f64.powi(decimals.cast_signed());
            check_shortest(value);
            check_shortest(value.next_up());
            check_digits(value);
        }
    }
}
