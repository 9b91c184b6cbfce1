//! What was changed in a block, a line for each series.

use std::fmt;

use model::{Labels, TimeRange};
use serde::Serialize;

/// What was changed in a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChangeLog {
    /// Lines for people.
    pub lines: Vec<String>,
}

impl ChangeLog {
    pub(super) fn deleted(&mut self, labels: &Labels, ranges: &[TimeRange]) {
        let ranges: Vec<String> = ranges
            .iter()
            .map(|range| format!("[{} {}]", range.start, range.end))
            .collect();
        self.lines
            .push(format!("Deleted {labels} {}", ranges.join(" ")));
    }

    pub(super) fn dropped(&mut self, labels: &Labels) {
        self.lines.push(format!("Dropped {labels}"));
    }

    pub(super) fn relabeled(&mut self, from: &Labels, to: &Labels) {
        self.lines.push(format!("Relabelled {from} to {to}"));
    }

    pub(super) fn repaired(&mut self, labels: &Labels) {
        self.lines
            .push(format!("Repaired {labels}, whose chunks overlapped"));
    }
}

impl fmt::Display for ChangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
