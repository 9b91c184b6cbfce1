//! Which series belong to a request's shard.

use model::Labels;
use xxhash_rust::xxh64::Xxh64;

use crate::request::SeriesRequest;

/// A part of all series, chosen by the hash of some of their labels.
#[derive(Debug, Clone)]
pub struct Shard {
    index: u64,
    total: u64,
    by: bool,
    labels: Vec<String>,
}

impl Shard {
    /// Returns the shard a request asks for, if it asks for one.
    #[must_use]
    pub fn of_request(request: &SeriesRequest) -> Option<Self> {
        let info = request.shard.as_ref()?;
        Some(Self {
            index: u64::try_from(info.shard_index).ok()?,
            total: u64::try_from(info.total_shards)
                .ok()
                .filter(|total| *total > 0)?,
            by: info.by,
            labels: info.labels.clone(),
        })
    }

    /// Returns whether the series of `labels` is of this shard: xxhash64 over `name 0xff value 0xff` of
    /// the labels named (`by`) or not named (otherwise), modulo the number of shards.
    #[must_use]
    pub fn holds(&self, labels: &Labels) -> bool {
        let mut hash = Xxh64::new(0);
        for label in labels.iter() {
            if self.labels.iter().any(|name| name == label.name) == self.by {
                hash.update(label.name.as_bytes());
                hash.update(&[0xff]);
                hash.update(label.value.as_bytes());
                hash.update(&[0xff]);
            }
        }
        hash.digest() % self.total == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::thanos::ShardInfo;

    #[test]
    fn every_series_is_in_exactly_one_shard_and_groups_stay_together() {
        for by in [true, false] {
            let shards: Vec<_> = (0..3)
                .map(|shard_index| {
                    let labels = vec!["pod".to_owned()];
                    let shard = ShardInfo {
                        shard_index,
                        total_shards: 3,
                        by,
                        labels,
                    };
                    let request = SeriesRequest {
                        shard: Some(shard),
                        ..SeriesRequest::default()
                    };
                    Shard::of_request(&request).expect("a shard")
                })
                .collect();
            let holder = |pod: usize, le: usize| {
                let labels = Labels::from_pairs([("pod", pod.to_string()), ("le", le.to_string())]);
                let holders: Vec<_> = (0..3).filter(|i| shards[*i].holds(&labels)).collect();
                assert_eq!(holders.len(), 1);
                holders[0]
            };
            let used: std::collections::BTreeSet<_> = (0..50)
                .map(|n| if by { holder(n, 0) } else { holder(0, n) })
                .collect();
            assert_eq!(used.len(), 3, "all shards are used");
            for n in 0..50 {
                let (same, other) = if by {
                    (holder(n, 1), holder(n, 2))
                } else {
                    (holder(1, n), holder(2, n))
                };
                assert_eq!(same, other);
            }
        }
    }
}
