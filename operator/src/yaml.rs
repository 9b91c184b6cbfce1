//! YAML as people write it: block style, quotes only where needed, long texts as literal blocks.
//!
//! The output is read by other YAML implementations, so a text is quoted whenever any of them could
//! take it for something else; a quoted text uses JSON's escapes, which YAML shares.

use serde_json::Value;

/// Writes one document, ending in a newline.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => mapping(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut text, items, 0),
        other => {
            text.push_str(&scalar(other));
            text.push('\n');
        }
    }
    text
}

fn mapping(text: &mut String, value: &Value, indent: usize) {
    let Some(fields) = value.as_object() else {
        return;
    };
    for (index, (key, field)) in fields.iter().enumerate() {
        // The first key of a list's entry stands behind its dash.
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(&string(key));
        text.push(':');
        nested(text, field, indent);
    }
}

fn sequence(text: &mut String, items: &[Value], indent: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !text.ends_with("- ") {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str("- ");
        match item {
            Value::Object(fields) if !fields.is_empty() => mapping(text, item, indent + 2),
            Value::Array(inner) if !inner.is_empty() => sequence(text, inner, indent + 2),
            other => {
                text.push_str(&scalar(other));
                text.push('\n');
            }
        }
    }
}

fn nested(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            mapping(text, value, indent + 2);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, items, indent);
        }
        Value::String(long) if is_block(long) => block(text, long, indent + 2),
        other => {
            text.push(' ');
            text.push_str(&scalar(other));
            text.push('\n');
        }
    }
}

fn is_block(text: &str) -> bool {
    text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || !c.is_control())
}

fn block(text: &mut String, content: &str, indent: usize) {
    text.push_str(if content.ends_with('\n') {
        " |\n"
    } else {
        " |-\n"
    });
    for line in content.trim_end_matches('\n').split('\n') {
        if !line.is_empty() {
            text.push_str(&" ".repeat(indent));
            text.push_str(line);
        }
        text.push('\n');
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

fn string(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

/// Texts that no YAML reader takes for anything but a text.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity",
    ];
    let word = text.to_ascii_lowercase();
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./+=$()".contains(c) || c == ':')
        && !text.ends_with(':')
        && !WORDS.contains(&word.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::document;

    #[test]
    fn what_is_written_reads_back_equal() {
        for value in [
            json!({ "a": { "b": [1, 2.5, true, null, "x"] }, "c": {}, "d": [] }),
            json!([{ "a": [["x", "y"], { "b": 1, "c": [2] }] }, [], {}]),
            json!({ "text": "one\n\ntwo\n", "more": ["one\ntwo", "trailing\n\n", " leading\nx"] }),
            json!({ "on": "off", "y": "1", "2": "0x1f", "~": "a: b", "#": "a #b", "-": "- x" }),
            json!({ "regex": r"(\d+);((([0-9]+?)(\.|$)){4})", "tab": "a\tb\nc", "empty": "" }),
            json!("1e3"),
            json!("2001-01-01"),
            json!("12:30:45"),
            json!("$(POD_NAME)"),
        ] {
            let text = document(&value);
            let read: Value = serde_saphyr::from_str(&text).expect(&text);
            assert_eq!(read, value, "{text}");
        }
    }

    #[test]
    fn it_looks_as_people_write_it() {
        let text =
            document(&json!({ "kind": "Secret", "list": [{ "name": "a", "args": ["--b=1"] }] }));
        assert_eq!(
            text,
            "kind: Secret\nlist:\n- args:\n  - \"--b=1\"\n  name: a\n"
        );
    }
}
