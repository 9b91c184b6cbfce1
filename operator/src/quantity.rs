//! Kubernetes quantities: exact comparison of texts such as `500m`, `0.5` and `1Gi`.

/// Parses a quantity into billionths of its unit; `None` where the text is none or does not fit.
pub fn parse(text: &str) -> Option<i128> {
    const NANO: i128 = 1_000_000_000;
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (multiplier, divisor) = scale(suffix)?;
    let mut mantissa: i128 = 0;
    for digit in whole.chars().chain(fraction.chars()) {
        mantissa = mantissa
            .checked_mul(10)?
            .checked_add(i128::from(digit.to_digit(10)?))?;
    }
    let shift = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = mantissa.checked_mul(multiplier)?.checked_mul(NANO)?;
    let divisor = divisor.checked_mul(shift)?;
    // A quantity finer than a billionth is rounded up, as Kubernetes does.
    Some(scaled.checked_add(divisor - 1)? / divisor)
}

/// Parses a quantity as the nearest float.
pub fn parse_float(text: &str) -> Option<f64> {
    format!("{}e-9", parse(text)?).parse().ok()
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let pair = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    };
    Some(pair)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn different_texts_of_one_amount_are_equal() {
        for (one, other) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("100n", "0.0000001"),
        ] {
            assert_eq!(parse(one), parse(other), "{one} and {other}");
            assert!(parse(one).is_some(), "{one}");
        }
    }

    #[test]
    fn texts_that_are_no_quantity_are_refused() {
        for text in [
            "",
            ".",
            "Gi",
            "1gi",
            "-1",
            "1.2.3",
            "1 Gi",
            "999999999999999999999999999999E",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
