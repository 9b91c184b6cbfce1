//! Warnings and infos of an answer, with Prometheus' texts.

use std::collections::BTreeMap;

use crate::ast::PosRange;

/// At most so many warnings and as many infos are listed; further ones are counted.
const LISTED: usize = 10;

/// A warning or info of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    pub severity: Severity,
    /// The text without severity and position; equal texts are merged.
    pub message: String,
    /// What it is about, if a part of the query.
    pub pos: Option<PosRange>,
    /// What was forced, where buckets had to be made monotonic.
    pub monotonicity: Option<Monotonicity>,
}

/// How much an annotation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Of the storage: printed as it is.
    Storage,
    Warning,
    Info,
}

/// What had to be changed to make classic buckets cumulative, over all steps and series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Monotonicity {
    pub min_ts: i64,
    pub max_ts: i64,
    pub min_bucket: f64,
    pub max_bucket: f64,
    pub max_diff: f64,
    pub count: usize,
}

impl Annotation {
    /// Returns a warning about the expression at `pos`.
    #[must_use]
    pub fn warning(message: impl Into<String>, pos: PosRange) -> Self {
        Self {
            severity: Severity::Warning,
            message: message.into(),
            pos: Some(pos),
            monotonicity: None,
        }
    }

    /// Returns an info about the expression at `pos`.
    #[must_use]
    pub fn info(message: impl Into<String>, pos: PosRange) -> Self {
        Self {
            severity: Severity::Info,
            ..Self::warning(message, pos)
        }
    }

    /// Returns a warning of the storage.
    #[must_use]
    pub fn storage(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Storage,
            message: message.into(),
            pos: None,
            monotonicity: None,
        }
    }

    fn text(&self, query: &str) -> String {
        let mut text = match self.severity {
            Severity::Storage => self.message.clone(),
            Severity::Warning => format!("PromQL warning: {}", self.message),
            Severity::Info => format!("PromQL info: {}", self.message),
        };
        if query.is_empty() {
            return text;
        }
        if let Some(m) = &self.monotonicity {
            text.push_str(&format!(
                ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
                crate::number::format_g(m.min_bucket),
                crate::number::format_g(m.max_bucket),
                crate::number::format_g2(m.max_diff),
                m.count,
                crate::calendar::rfc3339(m.min_ts),
                crate::calendar::rfc3339(m.max_ts),
            ));
        }
        if let Some(pos) = self.pos {
            text.push_str(&format!(" ({})", line_and_column(query, pos.start)));
        }
        text
    }
}

/// Returns `line:column` of a byte offset, both counted from 1 and columns in bytes, as Prometheus
/// prints positions.
fn line_and_column(query: &str, at: usize) -> String {
    let before = query
        .as_bytes()
        .get(..at.min(query.len()))
        .unwrap_or_default();
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    format!("{line}:{}", before.len() - start + 1)
}

/// The annotations of one query, merged by text.
#[derive(Debug, Default, Clone)]
pub struct Annotations {
    by_message: BTreeMap<(Severity, String), Annotation>,
}

impl Annotations {
    /// Adds an annotation. Of equal ones the position counts that Prometheus evaluates last, whatever
    /// the order they come in: of two parts of a query the later one, and what is around before what
    /// is inside.
    pub fn add(&mut self, annotation: Annotation) {
        let key = (annotation.severity, annotation.message.clone());
        let mut annotation = annotation;
        let old = self.by_message.get(&key).and_then(|old| old.pos);
        if let (Some(new), Some(old)) = (annotation.pos, old)
            && is_evaluated_later(old, new)
        {
            annotation.pos = Some(old);
        }
        if let (Some(new), Some(old)) = (
            annotation.monotonicity.as_mut(),
            self.by_message.get(&key).and_then(|old| old.monotonicity),
        ) {
            new.min_ts = new.min_ts.min(old.min_ts);
            new.max_ts = new.max_ts.max(old.max_ts);
            new.min_bucket = new.min_bucket.min(old.min_bucket);
            new.max_bucket = new.max_bucket.max(old.max_bucket);
            new.max_diff = new.max_diff.max(old.max_diff);
            new.count += old.count;
        }
        self.by_message.insert(key, annotation);
    }

    /// Returns the texts of warnings and infos, sorted.
    #[must_use]
    pub fn texts(&self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for annotation in self.by_message.values() {
            let list = if annotation.severity == Severity::Info {
                &mut infos
            } else {
                &mut warnings
            };
            list.push(annotation.text(query));
        }
        for (list, kind) in [(&mut warnings, "warning"), (&mut infos, "info")] {
            if list.len() > LISTED {
                let omitted = list.len() - LISTED;
                list.truncate(LISTED);
                list.push(format!("{omitted} more {kind} annotations omitted"));
            }
        }
        (warnings, infos)
    }
}

/// Whether Prometheus evaluates the part at `a` after that at `b`.
fn is_evaluated_later(a: PosRange, b: PosRange) -> bool {
    let contains = |a: PosRange, b: PosRange| a.start <= b.start && b.end <= a.end;
    match (contains(a, b), contains(b, a)) {
        (true, false) => true,
        (false, true) => false,
        _ => a.start > b.start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_position_evaluated_last_is_kept() {
        let position = |positions: &[(usize, usize)]| {
            let mut annotations = Annotations::default();
            for (start, end) in positions {
                annotations.add(Annotation::info("x", PosRange::new(*start, *end)));
            }
            annotations.texts("0123456789").1
        };
        let later = position(&[(5, 7), (1, 3)]);
        assert_eq!(later, ["PromQL info: x (1:6)"]);
        assert_eq!(position(&[(1, 3), (5, 7)]), later);
        let outer = position(&[(0, 9), (5, 7)]);
        assert_eq!(outer, ["PromQL info: x (1:1)"]);
        assert_eq!(position(&[(5, 7), (0, 9)]), outer);
    }

    #[test]
    fn positions_are_lines_and_columns() {
        let mut annotations = Annotations::default();
        annotations.add(Annotation::info("x", PosRange::new(6, 7)));
        annotations.add(Annotation::info("x", PosRange::new(6, 7)));
        annotations.add(Annotation::storage("store down"));
        let (warnings, infos) = annotations.texts("rate(\na)");
        assert_eq!(warnings, ["store down"]);
        assert_eq!(infos, ["PromQL info: x (2:1)"]);
    }
}
