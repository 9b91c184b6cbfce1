//! Puts a stream of series back in order after labels were added to each of them.
//!
//! Prometheus sends series in the order of their own labels. Adding the same external label to all of
//! them keeps that order, except where one series' labels are the beginning of another's: `{a="1"}`
//! comes before `{a="1",b="2"}`, but `{a="1",c="x"}` comes after `{a="1",b="2",c="x"}`. All series
//! that begin with another's labels follow it directly, so holding back such a group and sorting it is
//! enough, and groups are nearly always one series long.

use std::cmp::Ordering;

use model::Labels;
use storeapi::Series;

/// Holds back the series that may have to change places.
#[derive(Debug, Default)]
pub struct Reorder {
    group: Vec<(Labels, Series)>,
}

impl Reorder {
    /// Takes the next series with its own labels, as Prometheus ordered them, and returns those that
    /// are now known to be in order. A further part of the series before joins it.
    pub fn push(&mut self, own: Labels, series: Series) -> Vec<Series> {
        if let Some((last, held)) = self.group.last_mut()
            && *last == own
        {
            held.chunks.extend(series.chunks);
            return Vec::new();
        }
        let extends = self
            .group
            .first()
            .is_some_and(|(head, _)| is_prefix(head, &own));
        let done = if extends { Vec::new() } else { self.finish() };
        self.group.push((own, series));
        done
    }

    /// Takes a series whose place is not known before the end; equal label sets become one series.
    pub fn hold(&mut self, series: Series) {
        self.group.push((series.labels.clone(), series));
    }

    /// Returns what is held back, in order.
    pub fn finish(&mut self) -> Vec<Series> {
        let mut done: Vec<Series> = self.group.drain(..).map(|(_, series)| series).collect();
        done.sort_by(|a, b| a.labels.cmp(&b.labels));
        done.dedup_by(|next, first| {
            let same = next.labels == first.labels;
            if same {
                first.chunks.append(&mut next.chunks);
            }
            same
        });
        done
    }
}

/// Returns whether the labels of `head` are the first labels of `labels`.
fn is_prefix(head: &Labels, labels: &Labels) -> bool {
    let mut rest = labels.iter();
    head.iter()
        .all(|label| rest.next().map(|other| other.cmp(&label)) == Some(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn run(own: &BTreeSet<Labels>, external: &Labels) -> Vec<Labels> {
        let mut reorder = Reorder::default();
        let mut out = Vec::new();
        for labels in own {
            let series = Series {
                labels: labels.overlaid_with(external),
                chunks: Vec::new(),
            };
            out.extend(reorder.push(labels.clone(), series));
        }
        out.extend(reorder.finish());
        out.into_iter().map(|series| series.labels).collect()
    }

    #[test]
    fn a_series_that_begins_another_changes_places() {
        let own = [
            Labels::from_pairs([("a", "1")]),
            Labels::from_pairs([("a", "1"), ("b", "2")]),
            Labels::from_pairs([("a", "2")]),
        ];
        let external = Labels::from_pairs([("c", "x")]);
        let out = run(&own.into_iter().collect(), &external);
        assert_eq!(out[0].to_string(), r#"{a="1", b="2", c="x"}"#);
        assert_eq!(out[1].to_string(), r#"{a="1", c="x"}"#);
    }

    proptest! {
        #[test]
        fn the_result_is_sorted_whatever_the_labels(
            own in proptest::collection::btree_set(
                proptest::collection::btree_map("[a-df-h]", "[12]", 0..4), 0..24),
            external in proptest::collection::btree_map("[ei]", "[x]", 0..3),
        ) {
            let own: BTreeSet<Labels> = own.into_iter().map(Labels::from_pairs).collect();
            let out = run(&own, &Labels::from_pairs(external));
            prop_assert_eq!(out.len(), own.len());
            prop_assert!(out.is_sorted());
        }
    }
}
