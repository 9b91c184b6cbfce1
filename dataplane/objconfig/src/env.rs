//! `$(VAR)` in configuration text.

use crate::error::ConfigError;

/// Replaces each `$(NAME)` by what `lookup` answers; `$$(NAME)` stays as `$(NAME)`.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        let name = after.split_once(')').map(|(name, _)| name).filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let Some(name) = name else {
            out.push_str(before);
            out.push_str("$(");
            rest = after;
            continue;
        };
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("$(");
            out.push_str(name);
            out.push(')');
        } else {
            out.push_str(before);
            let value = lookup(name);
            out.push_str(&value.ok_or_else(|| ConfigError::UnsetVariable(name.to_owned()))?);
        }
        rest = after.get(name.len() + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_the_rest_is_kept() {
        let lookup = |name: &str| (name == "KEY").then(|| "v".to_owned());
        for (text, expected) in [
            ("a: $(KEY)b$(KEY)", "a: vbv"),
            ("$$(KEY)", "$(KEY)"),
            ("$() $(a b) $1 ${x} $(", "$() $(a b) $1 ${x} $("),
            ("", ""),
        ] {
            assert_eq!(expand(text, &lookup).expect(text), expected);
        }
        let unset = expand("x: $(NOPE)", &lookup);
        assert_eq!(unset, Err(ConfigError::UnsetVariable("NOPE".into())));
    }
}
