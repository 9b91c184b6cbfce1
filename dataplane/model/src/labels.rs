//! An ordered label set held in one allocation.
//!
//! Layout: for each label, in order of name, `len(name) name len(value) value`, where a length is a
//! little-endian base-64 varint whose bytes are all below 0x80. The whole buffer is therefore valid
//! UTF-8 and can be sliced as `str` without validating again.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// One name and value, borrowed from a [`Labels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// An immutable label set, sorted by name; cloning is a reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// Returns the label set without labels.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Returns the label set of `pairs` in any order; empty values are dropped and the last of equal
    /// names wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut builder = LabelsBuilder::default();
        for (i, (name, value)) in pairs.iter().enumerate() {
            let superseded = pairs
                .get(i + 1)
                .is_some_and(|(next, _)| next.as_ref() == name.as_ref());
            if !superseded {
                builder.push(name.as_ref(), value.as_ref());
            }
        }
        builder.finish()
    }

    /// Iterates over the labels in order of name.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// Returns the value of `name`, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        for label in self.iter() {
            match label.name.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(label.value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// Returns the metric name, or the empty string.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(crate::METRIC_NAME).unwrap_or("")
    }

    /// Returns the number of labels; it walks the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes this set occupies, for memory accounts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }

    /// Returns the set without the labels for which `drop` is true.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        if self.iter().all(|label| keep(label.name)) {
            return self.clone();
        }
        let mut builder = LabelsBuilder::with_capacity(self.0.len());
        for label in self.iter() {
            if keep(label.name) {
                builder.push(label.name, label.value);
            }
        }
        builder.finish()
    }

    /// Returns the set without the named labels.
    #[must_use]
    pub fn without<S: AsRef<str>>(&self, names: &[S]) -> Self {
        self.filter(|name| !names.iter().any(|n| n.as_ref() == name))
    }

    /// Returns the union of both sets; where a name is in both, `other` wins (external labels
    /// override those of the series).
    #[must_use]
    pub fn overlaid_with(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        let mut builder = LabelsBuilder::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.iter().peekable(), other.iter().peekable());
        loop {
            let take_a = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(x), Some(y)) => x.name.cmp(y.name),
            };
            let label = match take_a {
                Ordering::Less => a.next(),
                Ordering::Greater => b.next(),
                Ordering::Equal => {
                    a.next();
                    b.next()
                }
            };
            if let Some(label) = label {
                builder.push(label.name, label.value);
            }
        }
        builder.finish()
    }

    /// Returns xxhash64 over `name 0xff value 0xff` of every label, the hash that Prometheus' and
    /// Thanos' hashrings and shards use.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hasher = xxhash_rust::xxh64::Xxh64::new(0);
        for label in self.iter() {
            hasher.update(label.name.as_bytes());
            hasher.update(&[0xff]);
            hasher.update(label.value.as_bytes());
            hasher.update(&[0xff]);
        }
        hasher.digest()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Ord for Labels {
    /// Compares label by label, name before value; a prefix sorts first.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = Label<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::from_pairs(pairs)
    }
}

/// Prints `{a="b", c="d"}` with Prometheus' escaping.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, label) in self.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{}={}", label.name, quote(label.value))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for label in self.iter() {
            map.serialize_entry(label.name, label.value)?;
        }
        map.end()
    }
}

/// Returns `text` as a double-quoted Go string literal.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Iterates over a [`Labels`] in order of name.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Label<'a>;

    #[inline]
    fn next(&mut self) -> Option<Label<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = take(self.rest);
        let (value, rest) = take(rest);
        self.rest = rest;
        Some(Label { name, value })
    }
}

#[inline]
fn take(text: &str) -> (&str, &str) {
    let mut len = 0usize;
    let mut shift = 0;
    for (i, byte) in text.bytes().enumerate() {
        len |= usize::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            return text[i + 1..].split_at(len);
        }
        shift += 6;
    }
    ("", "")
}

/// Builds a [`Labels`] from labels given in order of name.
#[derive(Debug, Default, Clone)]
pub struct LabelsBuilder {
    text: String,
    last_name: String,
}

impl LabelsBuilder {
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            last_name: String::new(),
        }
    }

    /// Appends a label; an empty value is left out, as Prometheus does.
    ///
    /// Names have to come in ascending order; [`Labels::from_pairs`] sorts.
    pub fn push(&mut self, name: &str, value: &str) {
        debug_assert!(
            self.text.is_empty() || self.last_name.as_str() < name,
            "labels are pushed in order: {name} after {}",
            self.last_name
        );
        if cfg!(debug_assertions) {
            name.clone_into(&mut self.last_name);
        }
        if value.is_empty() {
            return;
        }
        push_len(&mut self.text, name.len());
        self.text.push_str(name);
        push_len(&mut self.text, value.len());
        self.text.push_str(value);
    }

    /// Forgets all labels and keeps the allocation.
    pub fn clear(&mut self) {
        self.text.clear();
        self.last_name.clear();
    }

    /// Returns the label set and leaves the builder as it is, to be cleared and used again.
    #[must_use]
    pub fn finish(&self) -> Labels {
        Labels(Arc::from(self.text.as_str()))
    }
}

fn push_len(text: &mut String, mut len: usize) {
    loop {
        let low = (len & 0x3f) as u8;
        len >>= 6;
        if len == 0 {
            text.push(char::from(low));
            return;
        }
        text.push(char::from(low | 0x40));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_sorted_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("a", "3")]);
        assert_eq!(labels.to_string(), r#"{a="3", b="2"}"#);
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn external_labels_override_those_of_the_series() {
        let series = Labels::from_pairs([("a", "1"), ("cluster", "x")]);
        let external = Labels::from_pairs([("cluster", "eu"), ("replica", "0")]);
        assert_eq!(
            series.overlaid_with(&external).to_string(),
            r#"{a="1", cluster="eu", replica="0"}"#
        );
    }

    #[test]
    fn hash_is_the_one_that_hashrings_use() {
        // xxhash64 of "a\xff1\xffb\xff2\xff".
        let expected = xxhash_rust::xxh64::xxh64(b"a\xff1\xffb\xff2\xff", 0);
        assert_eq!(
            Labels::from_pairs([("a", "1"), ("b", "2")]).hash(),
            expected
        );
    }

    proptest! {
        #[test]
        fn any_map_comes_back_as_it_was(map in proptest::collection::btree_map("\\PC{1,80}", "\\PC{1,200}", 0..12)) {
            let labels = Labels::from_pairs(map.iter());
            let back: Vec<_> = labels.iter().map(|l| (l.name.to_owned(), l.value.to_owned())).collect();
            let expected: Vec<_> = map.into_iter().collect();
            prop_assert_eq!(back, expected);
        }

        #[test]
        fn order_is_that_of_the_sorted_pairs(
            a in proptest::collection::btree_map("[a-c]{1,3}", "[a-c]{1,3}", 0..4),
            b in proptest::collection::btree_map("[a-c]{1,3}", "[a-c]{1,3}", 0..4),
        ) {
            let (x, y) = (Labels::from_pairs(a.iter()), Labels::from_pairs(b.iter()));
            let (a, b): (Vec<_>, Vec<_>) = (a.into_iter().collect(), b.into_iter().collect());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
