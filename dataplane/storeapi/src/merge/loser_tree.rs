//! A tournament tree over the heads of sorted streams: taking the smallest costs one comparison a
//! level.

/// Indices of players, the winner first; each inner node holds the loser of its match.
#[derive(Debug)]
pub(super) struct LoserTree {
    winner: usize,
    /// Node `n` (from 1) has the children `2n` and `2n + 1`; players are the leaves from `losers.len()`.
    losers: Vec<usize>,
}

impl LoserTree {
    /// Plays all matches among `players`; `before(a, b)` says whether `a` wins over `b`.
    pub(super) fn new(players: usize, before: impl Fn(usize, usize) -> bool) -> Self {
        let mut losers = vec![0; players.max(1)];
        let mut winners = vec![0; 2 * losers.len()];
        for node in (1..2 * losers.len()).rev() {
            let winner = if node >= losers.len() {
                node - losers.len()
            } else {
                let (a, b) = (winners[2 * node], winners[2 * node + 1]);
                let (winner, loser) = if before(b, a) { (b, a) } else { (a, b) };
                losers[node] = loser;
                winner
            };
            winners[node] = winner;
        }
        Self {
            winner: winners.get(1).copied().unwrap_or(0),
            losers,
        }
    }

    /// Returns the player that wins over all others.
    pub(super) fn winner(&self) -> usize {
        self.winner
    }

    /// Plays the winner's matches again, after its value has changed.
    pub(super) fn replay(&mut self, before: impl Fn(usize, usize) -> bool) {
        let mut node = (self.winner + self.losers.len()) / 2;
        while node > 0 {
            if before(self.losers[node], self.winner) {
                std::mem::swap(&mut self.losers[node], &mut self.winner);
            }
            node /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merges_like_a_sort(mut lists in proptest::collection::vec(proptest::collection::vec(0u8..20, 0..10), 0..9)) {
            lists.iter_mut().for_each(|list| list.sort_unstable_by(|a, b| b.cmp(a)));
            let mut expected: Vec<u8> = lists.iter().flatten().copied().collect();
            expected.sort_unstable();
            let before = |lists: &[Vec<u8>], a: usize, b: usize| {
                let head = |i: usize| lists.get(i).and_then(|l| l.last()).map_or(u16::MAX, |v| u16::from(*v));
                (head(a), a) < (head(b), b)
            };
            let mut tree = LoserTree::new(lists.len(), |a, b| before(&lists, a, b));
            let mut merged = Vec::new();
            while let Some(value) = lists.get_mut(tree.winner()).and_then(Vec::pop) {
                merged.push(value);
                tree.replay(|a, b| before(&lists, a, b));
            }
            prop_assert_eq!(merged, expected);
        }
    }
}
