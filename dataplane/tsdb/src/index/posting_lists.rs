//! Which series have a label, while an index is written.
//!
//! The lists are the one thing of an index that cannot be written as it comes: they stand behind all
//! series, sorted by label. A list here is the first reference and each next one's distance to the one
//! before, a byte or two for each, so that a million series with fifteen labels take about thirty
//! mebibytes.

use chunk::varint;
use hashbrown::HashMap;

/// A label's name and value as symbol numbers.
pub(super) type Pair = (u32, u32);

/// Lists by label; references come in ascending order.
#[derive(Debug, Default)]
pub(super) struct PostingLists {
    all: PostingList,
    lists: Vec<(Pair, PostingList)>,
    numbers: HashMap<Pair, u32>,
    /// The last series' labels with their lists: most of them are the next one's too.
    recent: Vec<(Pair, u32)>,
}

/// An ascending list of series references.
#[derive(Debug, Default)]
pub(super) struct PostingList {
    first: u32,
    last: u32,
    count: usize,
    distances: Vec<u8>,
}

impl PostingLists {
    /// Enters a series under each of its labels.
    pub(super) fn add(&mut self, reference: u32, labels: impl Iterator<Item = Pair>) {
        self.all.push(reference);
        for (place, pair) in labels.enumerate() {
            let number = match self.recent.get(place) {
                Some(&(recent, number)) if recent == pair => number,
                _ => {
                    let next = self.lists.len();
                    let lists = &mut self.lists;
                    let number = *self.numbers.entry(pair).or_insert_with(|| {
                        lists.push((pair, PostingList::default()));
                        // As many pairs as symbols squared would have to exist for this to saturate.
                        u32::try_from(next).unwrap_or(u32::MAX)
                    });
                    match self.recent.get_mut(place) {
                        Some(slot) => *slot = (pair, number),
                        None => self.recent.push((pair, number)),
                    }
                    number
                }
            };
            if let Some((_, list)) = self.lists.get_mut(number as usize) {
                list.push(reference);
            }
        }
    }

    pub(super) fn series_count(&self) -> usize {
        self.all.count
    }

    /// Returns the list of all series, and all lists in order of their labels.
    pub(super) fn sorted(mut self) -> (PostingList, Vec<(Pair, PostingList)>) {
        drop(self.numbers);
        self.lists.sort_unstable_by_key(|(pair, _)| *pair);
        (self.all, self.lists)
    }
}

impl PostingList {
    fn push(&mut self, reference: u32) {
        if self.count == 0 {
            self.first = reference;
        } else {
            let distance = reference.wrapping_sub(self.last);
            varint::put_uvarint(&mut self.distances, u64::from(distance));
        }
        self.last = reference;
        self.count += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut rest = self.distances.as_slice();
        let mut reference = self.first;
        (0..self.count).map(move |i| {
            if i > 0
                && let Some((distance, read)) = varint::read_uvarint(rest)
            {
                rest = rest.get(read..).unwrap_or_default();
                // What was pushed was a 32-bit distance.
                reference = reference.wrapping_add(u32::try_from(distance).unwrap_or_default());
            }
            reference
        })
    }
}
