//! Sorting as Go's `sort.Sort` and `slices.SortFunc` do: a pattern-defeating quicksort that leaves
//! equal elements in an order of its own. That order is seen in answers, so it is kept step by step.
//!
//! The order of elements need not be consistent: any `less` ends and loses nothing.

/// Longest slice that is sorted by insertion alone.
const MAX_INSERTION: usize = 12;
/// Shortest slice whose pivot is a median of medians.
const SHORTEST_NINTHER: usize = 50;
/// Swaps that finding a pivot makes in a descending slice.
const MAX_SWAPS: usize = 4 * 3;
/// Pairs that are put in order before a nearly sorted slice counts as unsorted.
const MAX_SHIFTS: usize = 5;
/// Shortest slice in which pairs are put in order.
const SHORTEST_SHIFTING: usize = 50;

/// Sorts `data` by `less`, whether the first goes before the second.
pub(crate) fn sort<T>(data: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let end = data.len();
    let limit = usize::BITS - end.leading_zeros();
    Sorter { data, less }.quicksort(0, end, limit);
}

#[derive(Clone, Copy, PartialEq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

struct Sorter<'a, T, F> {
    data: &'a mut [T],
    less: F,
}

impl<T, F: Fn(&T, &T) -> bool> Sorter<'_, T, F> {
    fn less(&self, i: usize, j: usize) -> bool {
        (self.less)(&self.data[i], &self.data[j])
    }

    fn quicksort(&mut self, mut a: usize, mut b: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = b - a;
            if length <= MAX_INSERTION {
                return self.insertion(a, b);
            }
            if limit == 0 {
                return self.heap(a, b);
            }
            if !balanced {
                self.break_patterns(a, b);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(a, b);
            if hint == Hint::Decreasing {
                self.data[a..b].reverse();
                pivot = (b - 1) - (pivot - a);
                hint = Hint::Increasing;
            }
            if balanced && partitioned && hint == Hint::Increasing && self.nearly_sorted(a, b) {
                return;
            }
            // Many are equal where the pivot is not more than what is left of the slice.
            if a > 0 && !self.less(a - 1, pivot) {
                a = self.partition_equal(a, b, pivot);
                continue;
            }
            let middle;
            (middle, partitioned) = self.partition(a, b, pivot);
            let (left, right) = (middle - a, b - middle);
            let threshold = length / 8;
            if left < right {
                balanced = left >= threshold;
                self.quicksort(a, middle, limit);
                a = middle + 1;
            } else {
                balanced = right >= threshold;
                self.quicksort(middle + 1, b, limit);
                b = middle;
            }
        }
    }

    fn insertion(&mut self, a: usize, b: usize) {
        for i in a + 1..b {
            let mut j = i;
            while j > a && self.less(j, j - 1) {
                self.data.swap(j, j - 1);
                j -= 1;
            }
        }
    }

    fn sift_down(&mut self, low: usize, high: usize, first: usize) {
        let mut root = low;
        loop {
            let mut child = 2 * root + 1;
            if child >= high {
                return;
            }
            if child + 1 < high && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.data.swap(first + root, first + child);
            root = child;
        }
    }

    fn heap(&mut self, a: usize, b: usize) {
        let high = b - a;
        for i in (0..=(high - 1) / 2).rev() {
            self.sift_down(i, high, a);
        }
        for i in (0..high).rev() {
            self.data.swap(a, a + i);
            self.sift_down(0, i, a);
        }
    }

    /// Moves what is less than the pivot before it. Returns where the pivot is then, and whether
    /// nothing had to move.
    fn partition(&mut self, a: usize, b: usize, pivot: usize) -> (usize, bool) {
        self.data.swap(a, pivot);
        let (mut i, mut j) = (a + 1, b - 1);
        let mut untouched = true;
        loop {
            while i <= j && self.less(i, a) {
                i += 1;
            }
            while i <= j && !self.less(j, a) {
                j -= 1;
            }
            if i > j {
                self.data.swap(j, a);
                return (j, untouched);
            }
            untouched = false;
            self.data.swap(i, j);
            i += 1;
            j -= 1;
        }
    }

    /// Moves what equals the pivot to the front, where nothing is less. Returns where the rest begins.
    fn partition_equal(&mut self, a: usize, b: usize, pivot: usize) -> usize {
        self.data.swap(a, pivot);
        let (mut i, mut j) = (a + 1, b - 1);
        loop {
            while i <= j && !self.less(a, i) {
                i += 1;
            }
            while i <= j && self.less(a, j) {
                j -= 1;
            }
            if i > j {
                return i;
            }
            self.data.swap(i, j);
            i += 1;
            j -= 1;
        }
    }

    /// Puts a few pairs in order; returns whether all is sorted then.
    fn nearly_sorted(&mut self, a: usize, b: usize) -> bool {
        let mut i = a + 1;
        for _ in 0..MAX_SHIFTS {
            while i < b && !self.less(i, i - 1) {
                i += 1;
            }
            if i == b {
                return true;
            }
            if b - a < SHORTEST_SHIFTING {
                return false;
            }
            self.data.swap(i, i - 1);
            if i - a >= 2 {
                for j in (1..i).rev() {
                    if !self.less(j, j - 1) {
                        break;
                    }
                    self.data.swap(j, j - 1);
                }
            }
            if b - i >= 2 {
                for j in i + 1..b {
                    if !self.less(j, j - 1) {
                        break;
                    }
                    self.data.swap(j, j - 1);
                }
            }
        }
        false
    }

    /// Scatters three elements, by numbers that depend on the length alone.
    fn break_patterns(&mut self, a: usize, b: usize) {
        let length = b - a;
        if length < 8 {
            return;
        }
        let mut random = length as u64;
        let mask = (1u64 << (u64::BITS - (length as u64).leading_zeros())) - 1;
        let middle = a + (length / 4) * 2;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut other = (random & mask) as usize;
            if other >= length {
                other -= length;
            }
            self.data.swap(at, a + other);
        }
    }

    fn choose_pivot(&self, a: usize, b: usize) -> (usize, Hint) {
        let length = b - a;
        let mut swaps = 0;
        let quarter = length / 4;
        let (mut i, mut j, mut k) = (a + quarter, a + quarter * 2, a + quarter * 3);
        if length >= 8 {
            if length >= SHORTEST_NINTHER {
                i = self.median(i - 1, i, i + 1, &mut swaps);
                j = self.median(j - 1, j, j + 1, &mut swaps);
                k = self.median(k - 1, k, k + 1, &mut swaps);
            }
            j = self.median(i, j, k, &mut swaps);
        }
        let hint = match swaps {
            0 => Hint::Increasing,
            MAX_SWAPS => Hint::Decreasing,
            _ => Hint::Unknown,
        };
        (j, hint)
    }

    fn median(&self, a: usize, b: usize, c: usize, swaps: &mut usize) -> usize {
        let mut ordered = |a, b| {
            if self.less(b, a) {
                *swaps += 1;
                (b, a)
            } else {
                (a, b)
            }
        };
        let (a, b) = ordered(a, b);
        let (b, _) = ordered(b, c);
        let (_, b) = ordered(a, b);
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A permutation of `0..n` that repeats after `n` only.
    fn shuffled(n: u64, factor: u64) -> Vec<u64> {
        (0..n).map(|i| i * factor % n).collect()
    }

    #[test]
    fn everything_is_sorted() {
        for n in [0, 1, 2, 12, 13, 49, 50, 51, 211, 1009] {
            for factor in [1, 2, 5, 7, 100_003] {
                for distinct in [1, 2, 3, 40, 10_000] {
                    let mut data: Vec<u64> =
                        shuffled(n, factor).iter().map(|v| v % distinct).collect();
                    let mut expected = data.clone();
                    expected.sort_unstable();
                    sort(&mut data, |a, b| a < b);
                    assert_eq!(data, expected, "{n} {factor} {distinct}");
                    sort(&mut data, |a, b| a > b);
                    expected.reverse();
                    assert_eq!(data, expected, "{n} {factor} {distinct}, descending");
                }
            }
        }
    }

    #[test]
    fn an_inconsistent_order_loses_nothing() {
        for always in [true, false] {
            let mut data = shuffled(500, 7);
            sort(&mut data, |_, _| always);
            data.sort_unstable();
            assert_eq!(data, (0..500).collect::<Vec<_>>());
        }
    }
}
