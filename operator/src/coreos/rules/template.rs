//! A check of Go templates in labels and annotations: whether their actions close. What a template
//! does is Prometheus' business.

/// Checks that every action of a template is closed, texts and comments considered.
///
/// # Errors
/// Where it is not.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, tail)) = rest.split_once("{{") {
        rest = after_action(tail).ok_or("an action {{ is not closed")?;
    }
    Ok(())
}

/// What follows the `}}` of the action at the start of `text`.
fn after_action(text: &str) -> Option<&str> {
    let body = text.trim_start_matches('-').trim_start();
    if let Some(comment) = body.strip_prefix("/*") {
        let (_, tail) = comment.split_once("*/")?;
        return tail.split_once("}}").map(|(_, tail)| tail);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"' | '\'') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`' | '\'') => quote = Some(c),
            None if c == '}' => {
                let tail = text.get(at..)?;
                if let Some(tail) = tail.strip_prefix("}}") {
                    return Some(tail);
                }
            }
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn actions_must_close() {
        for valid in [
            "plain",
            "{{ $labels.pod }} and {{ $value | humanize }}",
            r#"{{ printf "}}" }}"#,
            "{{/* a }} comment */}}",
            "{{- with query `up` -}}x{{ end }}",
        ] {
            assert_eq!(check(valid), Ok(()), "{valid}");
        }
        for broken in ["{{ $labels.pod }", "{{ \"a }}", "x {{", "{{/* never"] {
            assert!(check(broken).is_err(), "{broken}");
        }
    }
}
