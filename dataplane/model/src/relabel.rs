//! Relabeling: rules that change a label set or drop it, as `relabel_configs` have them.

use md5::{Digest, Md5};
use serde::Deserialize;

use crate::regex::{AnchoredRegex, rewrite};
use crate::{Labels, LabelsBuilder};

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    /// Sets the target label to the expanded replacement where the regex matches.
    #[default]
    Replace,
    /// Drops the label set unless the regex matches.
    Keep,
    /// Drops the label set if the regex matches.
    Drop,
    /// Drops the label set unless source and target are equal.
    KeepEqual,
    /// Drops the label set if source and target are equal.
    DropEqual,
    /// Sets the target label to the source's hash modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to the name that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    /// All actions by the name that configuration has, in lower case.
    const NAMES: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, action)| *action == self);
        named.map_or("", |(name, _)| name)
    }

    fn needs_target(self) -> bool {
        matches!(
            self,
            Self::Replace
                | Self::HashMod
                | Self::Lowercase
                | Self::Uppercase
                | Self::KeepEqual
                | Self::DropEqual
        )
    }
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    #[error("{0}")]
    Regex(String),
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(&'static str),
    #[error("'replacement' can not be set for {0} action")]
    ReplacementSet(&'static str),
    #[error("{replacement:?} is invalid 'replacement' for labelmap action")]
    EmptyReplacement { replacement: String },
    #[error("{0} action requires only 'source_labels' and 'target_label', and no other fields")]
    OnlyLabels(&'static str),
    #[error("{0} action requires only 'regex', and no other fields")]
    OnlyRegex(&'static str),
}

/// One checked rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Raw")]
pub struct RelabelConfig {
    source_labels: Vec<String>,
    separator: String,
    regex: regex::Regex,
    modulus: u64,
    target_label: String,
    replacement: String,
    action: Action,
}

/// The rule as it is written; what is absent has Prometheus' defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    source_labels: Vec<String>,
    separator: Option<String>,
    regex: Option<String>,
    modulus: u64,
    target_label: String,
    replacement: Option<String>,
    action: Option<String>,
}

impl TryFrom<Raw> for RelabelConfig {
    type Error = RelabelError;

    fn try_from(raw: Raw) -> Result<Self, RelabelError> {
        let action = match &raw.action {
            None => Action::Replace,
            Some(name) => {
                let lower = name.to_lowercase();
                let known = Action::NAMES.iter().find(|(name, _)| *name == lower);
                known
                    .ok_or_else(|| RelabelError::UnknownAction(name.clone()))?
                    .1
            }
        };
        let is_default =
            |text: &Option<String>, default: &str| text.as_ref().is_none_or(|text| text == default);
        let separator_is_default = is_default(&raw.separator, DEFAULT_SEPARATOR);
        let replacement_is_default = is_default(&raw.replacement, DEFAULT_REPLACEMENT);
        if action == Action::HashMod && raw.modulus == 0 {
            return Err(RelabelError::NoModulus);
        }
        if action.needs_target() && raw.target_label.is_empty() {
            return Err(RelabelError::NoTarget(action.name()));
        }
        match action {
            Action::KeepEqual | Action::DropEqual => {
                let plain = separator_is_default
                    && replacement_is_default
                    && raw.modulus == 0
                    && is_default(&raw.regex, DEFAULT_REGEX);
                if !plain {
                    return Err(RelabelError::OnlyLabels(action.name()));
                }
            }
            Action::Lowercase | Action::Uppercase if !replacement_is_default => {
                return Err(RelabelError::ReplacementSet(action.name()));
            }
            Action::LabelDrop | Action::LabelKeep => {
                let plain = separator_is_default
                    && replacement_is_default
                    && raw.modulus == 0
                    && raw.source_labels.is_empty()
                    && raw.target_label.is_empty();
                if !plain {
                    return Err(RelabelError::OnlyRegex(action.name()));
                }
            }
            Action::LabelMap if raw.replacement.as_ref().is_some_and(String::is_empty) => {
                return Err(RelabelError::EmptyReplacement {
                    replacement: String::new(),
                });
            }
            _ => {}
        }
        let pattern = raw.regex.as_deref().unwrap_or(DEFAULT_REGEX);
        // Compiled once as a matcher, which refuses what RE2 refuses, in its words.
        AnchoredRegex::new(pattern).map_err(|error| RelabelError::Regex(error.to_string()))?;
        let rewritten = rewrite(pattern).map_err(|error| RelabelError::Regex(error.to_string()))?;
        let regex = regex::Regex::new(&format!("^(?s:{rewritten})$"))
            .map_err(|error| RelabelError::Regex(error.to_string()))?;
        Ok(Self {
            source_labels: raw.source_labels,
            separator: raw
                .separator
                .unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned()),
            regex,
            modulus: raw.modulus,
            target_label: raw.target_label,
            replacement: raw
                .replacement
                .unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned()),
            action,
        })
    }
}

/// Applies `configs` in order; `None` where one of them drops the label set.
#[must_use]
pub fn relabel(labels: &Labels, configs: &[RelabelConfig]) -> Option<Labels> {
    let mut set = Set::new(labels);
    for config in configs {
        if !config.apply(&mut set) {
            return None;
        }
    }
    Some(set.finish())
}

impl RelabelConfig {
    /// Applies the rule and returns whether the label set is kept.
    fn apply(&self, set: &mut Set) -> bool {
        let values: Vec<&str> = self
            .source_labels
            .iter()
            .map(|name| set.get(name))
            .collect();
        let value = values.join(&self.separator);
        match self.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::KeepEqual => return set.get(&self.target_label) == value,
            Action::DropEqual => return set.get(&self.target_label) != value,
            Action::Replace => {
                if let Some(captures) = self.regex.captures(&value) {
                    let mut target = String::new();
                    captures.expand(&self.target_label, &mut target);
                    if !target.is_empty() {
                        let mut replacement = String::new();
                        captures.expand(&self.replacement, &mut replacement);
                        set.set(&target, replacement);
                    }
                }
            }
            Action::Lowercase => set.set(&self.target_label, value.to_lowercase()),
            Action::Uppercase => set.set(&self.target_label, value.to_uppercase()),
            Action::HashMod => {
                let hash: [u8; 16] = Md5::digest(value.as_bytes()).into();
                let [.., a, b, c, d, e, f, g, h] = hash;
                let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % self.modulus;
                set.set(&self.target_label, number.to_string());
            }
            Action::LabelMap => {
                for (name, value) in set.labels.clone() {
                    if self.regex.is_match(&name) {
                        let target = self.regex.replace_all(&name, self.replacement.as_str());
                        set.set(&target, value);
                    }
                }
            }
            Action::LabelDrop => set.labels.retain(|(name, _)| !self.regex.is_match(name)),
            Action::LabelKeep => set.labels.retain(|(name, _)| self.regex.is_match(name)),
        }
        true
    }
}

/// A label set that changes; ordered by name.
struct Set {
    labels: Vec<(String, String)>,
}

impl Set {
    fn new(labels: &Labels) -> Self {
        let owned = labels
            .iter()
            .map(|label| (label.name.to_owned(), label.value.to_owned()));
        Self {
            labels: owned.collect(),
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.labels
            .binary_search_by(|(other, _)| other.as_str().cmp(name))
    }

    fn get(&self, name: &str) -> &str {
        self.place(name).map_or("", |i| &self.labels[i].1)
    }

    /// Sets a label; an empty value removes it.
    fn set(&mut self, name: &str, value: String) {
        match (self.place(name), value.is_empty()) {
            (Ok(i), true) => {
                self.labels.remove(i);
            }
            (Ok(i), false) => self.labels[i].1 = value,
            (Err(_), true) => {}
            (Err(i), false) => self.labels.insert(i, (name.to_owned(), value)),
        }
    }

    fn finish(&self) -> Labels {
        let mut builder = LabelsBuilder::default();
        for (name, value) in &self.labels {
            builder.push(name, value);
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> RelabelConfig {
        serde_json::from_str(json).expect("the rule is sound")
    }

    fn check(labels: &[(&str, &str)], rules: &[&str], expected: Option<&[(&str, &str)]>) {
        let rules: Vec<RelabelConfig> = rules.iter().map(|json| rule(json)).collect();
        let relabeled = relabel(&Labels::from_pairs(labels.iter().copied()), &rules);
        let expected = expected.map(|pairs| Labels::from_pairs(pairs.iter().copied()));
        assert_eq!(relabeled, expected, "{rules:?}");
    }

    #[test]
    fn each_action_does_what_prometheus_does() {
        let foo: &[(&str, &str)] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];
        check(
            foo,
            &[
                r#"{"source_labels":["a"],"regex":"f(.*)","target_label":"d","separator":";","replacement":"ch${1}-ch${1}"}"#,
            ],
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "choo-choo")]),
        );
        check(
            foo,
            &[
                r#"{"source_labels":["a","b"],"regex":"f(.*);(.*)r","target_label":"a","replacement":"b${1}${2}m"}"#,
                r#"{"source_labels":["c","a"],"regex":"(b).*b(.*)ba(.*)","target_label":"d","replacement":"$1$2$2$3"}"#,
            ],
            Some(&[("a", "boobam"), ("b", "bar"), ("c", "baz"), ("d", "boooom")]),
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"regex":".*o.*","action":"drop"}"#],
            None,
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"regex":"no-match","action":"drop"}"#],
            Some(foo),
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"regex":"fo","action":"Keep"}"#],
            None,
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"target_label":"b","action":"keepequal"}"#],
            None,
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"target_label":"b","action":"dropequal"}"#],
            Some(foo),
        );
        check(
            foo,
            &[r#"{"source_labels":["c"],"target_label":"d","action":"hashmod","modulus":1000}"#],
            Some(&[("a", "foo"), ("b", "bar"), ("c", "baz"), ("d", "976")]),
        );
        check(
            &[("a", "foo"), ("b1", "bar"), ("b2", "baz")],
            &[r#"{"regex":"(b.*)","replacement":"bar_${1}","action":"labelmap"}"#],
            Some(&[
                ("a", "foo"),
                ("b1", "bar"),
                ("b2", "baz"),
                ("bar_b1", "bar"),
                ("bar_b2", "baz"),
            ]),
        );
        check(
            foo,
            &[r#"{"regex":"[ab]","action":"labeldrop"}"#],
            Some(&[("c", "baz")]),
        );
        check(
            foo,
            &[r#"{"regex":"a|c","action":"labelkeep"}"#],
            Some(&[("a", "foo"), ("c", "baz")]),
        );
        check(
            &[("foo", "bAr123Foo")],
            &[
                r#"{"source_labels":["foo"],"action":"uppercase","target_label":"up"}"#,
                r#"{"source_labels":["foo"],"action":"lowercase","target_label":"low"}"#,
            ],
            Some(&[
                ("foo", "bAr123Foo"),
                ("low", "bar123foo"),
                ("up", "BAR123FOO"),
            ]),
        );
        check(
            foo,
            &[r#"{"source_labels":["a"],"regex":"foo","target_label":"a","replacement":""}"#],
            Some(&[("b", "bar"), ("c", "baz")]),
        );
        check(
            foo,
            &[r#"{"target_label":"always","replacement":"set"}"#],
            Some(&[("a", "foo"), ("always", "set"), ("b", "bar"), ("c", "baz")]),
        );
        check(
            &[("a", "some-name-value")],
            &[
                r#"{"source_labels":["a"],"regex":"some-([^-]+)-([^,]+)","target_label":"${1}","replacement":"${2}"}"#,
            ],
            Some(&[("a", "some-name-value"), ("name", "value")]),
        );
    }

    #[test]
    fn each_wrong_rule_says_why() {
        for (json, complaint) in [
            (
                r#"{"action":"explode"}"#,
                "unknown relabel action \"explode\"",
            ),
            (r#"{"sources":["a"]}"#, "unknown field `sources`"),
            (r#"{"target_label":"a","regex":"("}"#, "missing closing )"),
            (
                r#"{"action":"hashmod","target_label":"a"}"#,
                "requires non-zero modulus",
            ),
            (
                r#"{"action":"replace"}"#,
                "replace action requires 'target_label'",
            ),
            (
                r#"{"action":"lowercase","target_label":"a","replacement":"x"}"#,
                "'replacement' can not be set for lowercase",
            ),
            (
                r#"{"action":"keepequal","target_label":"a","regex":"x"}"#,
                "keepequal action requires only",
            ),
            (
                r#"{"action":"labeldrop","source_labels":["a"]}"#,
                "labeldrop action requires only",
            ),
            (
                r#"{"action":"labelmap","replacement":""}"#,
                "is invalid 'replacement' for labelmap",
            ),
        ] {
            let error = serde_json::from_str::<RelabelConfig>(json)
                .expect_err(json)
                .to_string();
            assert!(error.contains(complaint), "{json}: {error}");
        }
    }
}
