//! Intersection, union and difference of postings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Postings;

/// The references that are in each of several lists.
#[derive(Debug)]
pub struct Intersection<P> {
    lists: Vec<P>,
}

/// Intersects `lists`; give the shortest first. No list at all gives nothing.
pub fn intersect<P: Postings>(lists: Vec<P>) -> Intersection<P> {
    Intersection { lists }
}

impl<P: Postings> Postings for Intersection<P> {
    fn current(&mut self) -> Option<u32> {
        let (first, others) = self.lists.split_first_mut()?;
        'candidate: loop {
            let candidate = first.current()?;
            for other in others.iter_mut() {
                other.seek(candidate);
                let found = other.current()?;
                if found > candidate {
                    first.seek(found);
                    continue 'candidate;
                }
            }
            return Some(candidate);
        }
    }

    fn advance(&mut self) {
        // Where the lists do not agree yet, the first one alone may stand before the reference that
        // is to be left behind.
        if self.current().is_some()
            && let Some(first) = self.lists.first_mut()
        {
            first.advance();
        }
    }

    fn seek(&mut self, target: u32) {
        if let Some(first) = self.lists.first_mut() {
            first.seek(target);
        }
    }
}

/// The references that are in any of several lists, each once.
#[derive(Debug)]
pub struct Union<P> {
    lists: Vec<P>,
    /// Where each list that has not ended stands, and its index.
    standing: BinaryHeap<Reverse<(u32, usize)>>,
}

/// Merges `lists`.
pub fn merge<P: Postings>(mut lists: Vec<P>) -> Union<P> {
    let standing = lists
        .iter_mut()
        .enumerate()
        .filter_map(|(i, list)| list.current().map(|current| Reverse((current, i))))
        .collect();
    Union { lists, standing }
}

impl<P: Postings> Union<P> {
    /// Moves every list that stands before `target`.
    fn move_lists(&mut self, target: u32, mut step: impl FnMut(&mut P)) {
        while let Some(mut top) = self.standing.peek_mut() {
            let Reverse((current, i)) = *top;
            if current >= target {
                return;
            }
            let moved = self.lists.get_mut(i).and_then(|list| {
                step(list);
                list.current()
            });
            match moved {
                Some(current) => *top = Reverse((current, i)),
                None => {
                    std::collections::binary_heap::PeekMut::pop(top);
                }
            }
        }
    }
}

impl<P: Postings> Postings for Union<P> {
    fn current(&mut self) -> Option<u32> {
        self.standing.peek().map(|Reverse((current, _))| *current)
    }

    fn advance(&mut self) {
        match self.current() {
            None => {}
            Some(u32::MAX) => self.standing.clear(),
            Some(current) => self.move_lists(current + 1, Postings::advance),
        }
    }

    fn seek(&mut self, target: u32) {
        self.move_lists(target, |list| list.seek(target));
    }
}

/// The references of one list that are not in another.
#[derive(Debug)]
pub struct Without<P, Q> {
    kept: P,
    removed: Q,
}

/// Takes `removed` out of `kept`.
pub fn without<P: Postings, Q: Postings>(kept: P, removed: Q) -> Without<P, Q> {
    Without { kept, removed }
}

impl<P: Postings, Q: Postings> Postings for Without<P, Q> {
    fn current(&mut self) -> Option<u32> {
        loop {
            let candidate = self.kept.current()?;
            self.removed.seek(candidate);
            if self.removed.current() != Some(candidate) {
                return Some(candidate);
            }
            self.kept.advance();
        }
    }

    fn advance(&mut self) {
        if self.current().is_some() {
            self.kept.advance();
        }
    }

    fn seek(&mut self, target: u32) {
        self.kept.seek(target);
    }
}
