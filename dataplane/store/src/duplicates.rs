//! Streams that two writers fill at once. One Prometheus never cuts two blocks of the same time: two
//! fresh level-1 blocks with the same external labels that overlap come from two processes that
//! take each other's name.

use std::collections::BTreeMap;

use block::BlockId;
use model::Labels;
use serde::Serialize;
use tsdb::meta::{BlockMeta, Resolution, source};

use crate::blocks::Block;

/// How old the newer block of a pair may be to be worth telling.
const FRESH_MS: i64 = 6 * 60 * 60 * 1000;
/// Most streams that are told.
const MAX_STREAMS: usize = 16;
/// Hint of a block with samples that came late, which rightly overlaps others.
const OUT_OF_ORDER: &str = "from-out-of-order";

/// One stream with two writers, and two blocks that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    pub labels: BTreeMap<String, String>,
    pub blocks: [BlockId; 2],
}

/// The streams among `blocks` that have two writers at `now_ms`.
pub fn duplicates<'a>(blocks: impl Iterator<Item = &'a Block>, now_ms: i64) -> Vec<Duplicate> {
    of_metas(
        blocks.map(|block| (&block.external_labels, block.meta.as_ref())),
        now_ms,
    )
}

fn of_metas<'a>(
    blocks: impl Iterator<Item = (&'a Labels, &'a BlockMeta)>,
    now_ms: i64,
) -> Vec<Duplicate> {
    let oldest = now_ms.saturating_sub(FRESH_MS);
    let mut streams: BTreeMap<Vec<(&str, &str)>, Vec<&BlockMeta>> = BTreeMap::new();
    for (labels, meta) in blocks {
        if meta.max_time >= oldest && is_cut_by_a_sidecar(meta) {
            let stream = labels.iter().map(|label| (label.name, label.value));
            streams.entry(stream.collect()).or_default().push(meta);
        }
    }
    let mut found = Vec::new();
    for (stream, mut metas) in streams {
        metas.sort_by_key(|meta| (meta.min_time, meta.max_time, meta.ulid));
        let pair = metas
            .iter()
            .zip(metas.iter().skip(1))
            .find(|(first, second)| second.min_time < first.max_time);
        if let Some((first, second)) = pair {
            found.push(Duplicate {
                labels: stream
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                blocks: [first.ulid, second.ulid],
            });
        }
    }
    found.truncate(MAX_STREAMS);
    found
}

fn is_cut_by_a_sidecar(meta: &BlockMeta) -> bool {
    meta.compaction.level == 1
        && !meta
            .compaction
            .hints
            .iter()
            .any(|hint| hint == OUT_OF_ORDER)
        && meta.thanos.as_ref().is_some_and(|thanos| {
            thanos.source == source::SIDECAR && thanos.downsample.resolution == Resolution::RAW
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: i64 = 60 * 60 * 1000;

    fn meta(n: u8, hours_ago: i64, source: &str) -> BlockMeta {
        let start = NOW - hours_ago * HOUR;
        let text = format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}");
        let mut meta = BlockMeta::new(text.parse().expect("ulid"), start, start + 2 * HOUR);
        let thanos = serde_json::json!({
            "labels": {}, "downsample": { "resolution": 0 }, "source": source,
        });
        meta.thanos = Some(serde_json::from_value(thanos).expect("thanos"));
        meta
    }

    fn labels(replica: &str) -> Labels {
        Labels::from_pairs([("cluster", "c"), ("prometheus_replica", replica)])
    }

    fn count(blocks: &[(Labels, BlockMeta)]) -> usize {
        of_metas(blocks.iter().map(|(labels, meta)| (labels, meta)), NOW).len()
    }

    #[test]
    fn two_blocks_of_one_time_and_stream_are_told() {
        let blocks = [
            (labels("a"), meta(1, 4, "sidecar")),
            (labels("a"), meta(2, 3, "sidecar")),
        ];
        let found = of_metas(blocks.iter().map(|(labels, meta)| (labels, meta)), NOW);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].labels["prometheus_replica"], "a");
        assert_eq!(found[0].blocks, [blocks[0].1.ulid, blocks[1].1.ulid]);
    }

    #[test]
    fn what_one_writer_makes_is_not() {
        let a = || labels("a");
        // One after the other.
        assert_eq!(
            count(&[(a(), meta(1, 4, "sidecar")), (a(), meta(2, 2, "sidecar"))]),
            0
        );
        // Another replica.
        assert_eq!(
            count(&[
                (a(), meta(1, 4, "sidecar")),
                (labels("b"), meta(2, 4, "sidecar"))
            ]),
            0
        );
        // What the compactor made of it.
        assert_eq!(
            count(&[(a(), meta(1, 4, "sidecar")), (a(), meta(2, 4, "compactor"))]),
            0
        );
        // Long ago.
        assert_eq!(
            count(&[(a(), meta(1, 40, "sidecar")), (a(), meta(2, 40, "sidecar"))]),
            0
        );
        // Samples that came late.
        let mut late = meta(2, 4, "sidecar");
        late.compaction.hints = vec![OUT_OF_ORDER.to_owned()];
        assert_eq!(count(&[(a(), meta(1, 4, "sidecar")), (a(), late)]), 0);
    }
}
