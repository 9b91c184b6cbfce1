//! Series in order of their final labels.
//!
//! An index has series in order of their own labels. Attaching the same labels to all keeps that order
//! with one exception: where one series' labels are the beginning of another's, the attached label comes
//! to stand against the next label of the longer one. `{a="1"}` comes before `{a="1", b="2"}`, but with
//! `c="3"` attached `{a="1", c="3"}` comes after `{a="1", b="2", c="3"}`. Such a series is held back until
//! no longer one can come before it; that is soon, because longer ones follow directly and in order of
//! their next name. Where own labels are hidden or removed anything can change, and all series wait.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tsdb::index::SymbolRef;

use super::SortKey;

/// Gives items back in order of their keys.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    mode: Mode,
    waiting: BinaryHeap<Waiting<T>>,
    /// Items before which longer ones may still come: their own labels, each the beginning of the next.
    open: Vec<(u64, Vec<(SymbolRef, SymbolRef)>)>,
    pushed: u64,
    finished: bool,
}

#[derive(Debug)]
enum Mode {
    /// The last name that is attached; nothing attached keeps the order as it is.
    Prefix(Option<String>),
    Whole,
}

#[derive(Debug)]
struct Waiting<T> {
    key: SortKey,
    number: u64,
    item: T,
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    /// The smallest key is the greatest, as a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.key, other.number).cmp(&(&self.key, self.number))
    }
}

impl<T> Reorder<T> {
    /// For series whose own labels all remain and get others attached, of which `last_name` is the last.
    pub(super) fn by_prefix(last_name: Option<&str>) -> Self {
        Self::new(Mode::Prefix(last_name.map(str::to_owned)))
    }

    /// For series whose order may change in any way.
    pub(super) fn whole() -> Self {
        Self::new(Mode::Whole)
    }

    fn new(mode: Mode) -> Self {
        let waiting = BinaryHeap::new();
        Self {
            mode,
            waiting,
            open: Vec::new(),
            pushed: 0,
            finished: false,
        }
    }

    /// Adds the next series of the index. `own` are its own labels, `key` its final ones, and `name`
    /// gives the name of an own label by its position.
    pub(super) fn push<'a>(
        &mut self,
        own: &[(SymbolRef, SymbolRef)],
        key: SortKey,
        item: T,
        name: impl Fn(usize) -> Option<&'a str>,
    ) {
        let number = self.pushed;
        self.pushed += 1;
        if let Mode::Prefix(Some(last_name)) = &self.mode {
            self.open.retain(|(_, shorter)| {
                own.starts_with(shorter)
                    && name(shorter.len()).is_none_or(|next| next <= last_name.as_str())
            });
            self.open.push((number, own.to_vec()));
        }
        self.waiting.push(Waiting { key, number, item });
    }

    /// Says that nothing more is pushed.
    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.open.clear();
    }

    /// Returns the next item whose place is certain.
    pub(super) fn pop(&mut self) -> Option<T> {
        if !self.finished {
            let top = self.waiting.peek()?;
            let certain = match self.mode {
                Mode::Whole => false,
                Mode::Prefix(_) => !self.open.iter().any(|(number, _)| *number == top.number),
            };
            if !certain {
                return None;
            }
        }
        self.waiting.pop().map(|waiting| waiting.item)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::Labels;
    use proptest::prelude::*;

    use super::*;

    /// Names and values are letters; a symbol is its letter's number.
    fn symbols(labels: &Labels) -> Vec<(SymbolRef, SymbolRef)> {
        let symbol = |text: &str| SymbolRef(text.bytes().next().map_or(0, u32::from));
        labels
            .iter()
            .map(|label| (symbol(label.name), symbol(label.value)))
            .collect()
    }

    fn reordered(series: &BTreeSet<Labels>, external: &Labels) -> (Vec<Labels>, usize) {
        let mut order = Reorder::by_prefix(external.iter().last().map(|label| label.name));
        let (mut out, mut most_waiting) = (Vec::new(), 0);
        for labels in series {
            let key = labels.overlaid_with(external);
            let names: Vec<&str> = labels.iter().map(|label| label.name).collect();
            order.push(&symbols(labels), key.clone(), key, |at| {
                names.get(at).copied()
            });
            out.extend(std::iter::from_fn(|| order.pop()));
            most_waiting = most_waiting.max(order.waiting.len());
        }
        order.finish();
        out.extend(std::iter::from_fn(|| order.pop()));
        (out, most_waiting)
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_final_labels(
            series in prop::collection::btree_set(prop::collection::btree_map("[a-g]", "[xyz]", 0..5), 0..60),
            external in prop::collection::btree_map("[A-Z]|[h-k]|cc|ee", "[xyz]", 0..4),
        ) {
            let series: BTreeSet<Labels> = series.into_iter().map(Labels::from_pairs).collect();
            let external = Labels::from_pairs(external);
            let mut expected: Vec<Labels> =
                series.iter().map(|labels| labels.overlaid_with(&external)).collect();
            expected.sort();
            let (seen, most_waiting) = reordered(&series, &external);
            prop_assert_eq!(seen, expected);
            // One series for each length of a label set, and the one just read.
            prop_assert!(most_waiting <= 6, "{} waited", most_waiting);
        }
    }

    #[test]
    fn shorter_series_waits_for_longer_ones_that_come_before_it() {
        let series = [
            vec![("a", "1")],
            vec![("a", "1"), ("b", "2")],
            vec![("a", "2")],
        ];
        let series: BTreeSet<Labels> = series.into_iter().map(Labels::from_pairs).collect();
        let external = Labels::from_pairs([("c", "3")]);
        let seen: Vec<String> = reordered(&series, &external)
            .0
            .iter()
            .map(Labels::to_string)
            .collect();
        assert_eq!(
            seen,
            [
                r#"{a="1", b="2", c="3"}"#,
                r#"{a="1", c="3"}"#,
                r#"{a="2", c="3"}"#
            ]
        );
    }
}
