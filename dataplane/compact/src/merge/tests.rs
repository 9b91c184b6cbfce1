//! Blocks in a bucket in memory, compacted, and read back.

use std::collections::BTreeMap;

use block::layout;
use chunk::varint::{put_uvarint, put_varint};
use model::{Labels, TimeRange};
use proptest::prelude::*;
use tsdb::block::{BlockWriter, EncodedChunk};
use tsdb::index::{ChunkMeta, SeriesEntry, Toc};
use tsdb::segment::segment_name;
use tsdb::tombstones::{self, Tombstones};

use super::overlap::Dedup;
use crate::error::ErrorKind;
use crate::world::{Samples, World, block_on, labels, ramp, union, writer};

/// Blocks of a thousand milliseconds each, beginning where the one before ends.
fn adjacent() -> impl Strategy<Value = Vec<Samples>> {
    let value = prop_oneof![
        any::<u64>(),
        Just(f64::NAN.to_bits()),
        Just((-0.0f64).to_bits()),
        Just(model::sample::stale_nan().to_bits()),
        (0u64..50).prop_map(|n| (n as f64).to_bits()),
    ];
    let series = prop::collection::btree_map(0i64..1000, value, 1..150);
    let block = prop::collection::btree_map((0usize..30).prop_map(labels), series, 0..12);
    prop::collection::vec(block, 1..5).prop_map(|blocks| {
        let shifted = |(i, block): (i64, Samples)| {
            let shift = |samples: BTreeMap<i64, u64>| {
                samples
                    .into_iter()
                    .map(|(t, bits)| (t + i * 1000, bits))
                    .collect()
            };
            block
                .into_iter()
                .map(|(labels, samples)| (labels, shift(samples)))
                .collect()
        };
        (0i64..).zip(blocks).map(shifted).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compaction_keeps_every_sample_and_touches_no_chunk(blocks in adjacent()) {
        block_on(async {
            let world = World::in_memory();
            let mut ids = Vec::new();
            for (i, block) in (0u128..).zip(&blocks) {
                let start = i as i64 * 1000;
                // Small segments: reading goes from one to the next.
                ids.push(world.put(i, (start, start + 1000), writer(block, 700)).await);
            }
            let compacted = world.compact(&ids, Dedup::OneToOne).await.expect("compacts");
            let expected = union(&blocks);
            let Some(meta) = compacted.block else {
                assert!(expected.is_empty());
                return;
            };
            assert_eq!(world.samples(meta.ulid).await, expected);
            assert_eq!(compacted.merged.reencoded, 0);
            let chunks_before: u64 = {
                let view = world.view().await;
                ids.iter().map(|id| view.blocks[id].meta.stats.num_chunks).sum()
            };
            assert_eq!(meta.stats.num_chunks, chunks_before);
            assert_eq!((meta.min_time, meta.max_time), (0, blocks.len() as i64 * 1000));
            // The files are those that writing the series at once makes.
            let mut at_once = BlockWriter::new();
            for (i, _) in (0u128..).zip(&blocks) {
                let block = world.open(ids[i as usize]).await;
                for series in block.select(&[], TimeRange::ALL).expect("sound") {
                    let chunks = series.chunks.iter().map(|(range, chunk)| EncodedChunk {
                        min_time: range.start,
                        max_time: range.end,
                        encoding: chunk.encoding,
                        data: chunk.data.to_vec(),
                    });
                    at_once.add(series.labels.clone(), chunks.collect());
                }
            }
            for (name, bytes) in at_once.finish(meta.ulid, None).expect("sound").files {
                if name != layout::META {
                    let object = layout::object(meta.ulid, &name);
                    assert_eq!(world.bucket.get(&object).await.expect("there"), bytes, "{name}");
                }
            }
            let view = world.view().await;
            assert!(ids.iter().all(|id| view.blocks[id].deletion_time.is_some()));
        });
    }

    #[test]
    fn overlapping_blocks_become_their_union(blocks in adjacent()) {
        block_on(async {
            let world = World::in_memory();
            let mut ids = Vec::new();
            let moved: Vec<Samples> = blocks.iter().zip(0i64..).map(|(block, i)| {
                block.iter().map(|(labels, samples)| {
                    let moved = samples.iter().map(|(t, bits)| (t - i * 700, *bits));
                    (labels.clone(), moved.collect())
                }).collect()
            }).collect();
            for (i, block) in (0u128..).zip(&moved) {
                let start = i as i64 * 300;
                ids.push(world.put(i, (start, start + 1000), writer(block, 1 << 20)).await);
            }
            let compacted = world.compact(&ids, Dedup::OneToOne).await.expect("compacts");
            let times = |samples: &Samples| -> Vec<(Labels, Vec<i64>)> {
                samples.iter().map(|(labels, samples)| {
                    (labels.clone(), samples.keys().copied().collect())
                }).collect()
            };
            let expected = union(&moved);
            let found = match compacted.block {
                Some(meta) => world.samples(meta.ulid).await,
                None => Samples::new(),
            };
            assert_eq!(times(&found), times(&expected));
            for (labels, samples) in &found {
                for (t, bits) in samples {
                    let known = moved.iter().any(|block| {
                        block.get(labels).and_then(|samples| samples.get(t)) == Some(bits)
                    });
                    assert!(known, "{labels} at {t} is nobody's");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn penalty_stays_with_one_replica_and_bridges_its_gap() {
    let world = World::in_memory();
    let (mut a, b) = (ramp(100, 15_000, 0), ramp(100, 15_000, 1_000));
    let gap = 30 * 15_000..60 * 15_000;
    a.get_mut(&labels(1))
        .expect("it is there")
        .retain(|t, _| !gap.contains(t));
    let range = (0, 2_000_000);
    let ids = [
        world.put(1, range, writer(&a, 1 << 20)).await,
        world.put(2, range, writer(&b, 1 << 20)).await,
    ];
    let compacted = world.compact(&ids, Dedup::Penalty).await.expect("compacts");
    let meta = compacted.block.expect("a block");
    let merged = world.samples(meta.ulid).await;
    let times: Vec<i64> = merged[&labels(1)].keys().copied().collect();
    assert!(times.len() < 105, "{} samples are no doubling", times.len());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 3 * 15_000));
    assert!(times.iter().take(30).all(|t| t % 15_000 == 0));
    assert!(times.iter().any(|t| t % 15_000 == 1_000), "the gap is b's");
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_chunks_of_replicas_are_copied_once() {
    let world = World::in_memory();
    let ids = [
        world
            .put(1, (0, 2_000_000), writer(&ramp(100, 15_000, 0), 1 << 20))
            .await,
        world
            .put(2, (0, 2_000_000), writer(&ramp(100, 15_000, 0), 1 << 20))
            .await,
    ];
    let compacted = world
        .compact(&ids, Dedup::OneToOne)
        .await
        .expect("compacts");
    assert_eq!(compacted.merged.duplicates, 1);
    assert_eq!(compacted.merged.passed_through, 1);
    let meta = compacted.block.expect("a block");
    assert_eq!(world.samples(meta.ulid).await, ramp(100, 15_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_ranges_are_left_out_and_an_empty_result_is_no_block() {
    let world = World::in_memory();
    let id = world
        .put(1, (0, 2_000_000), writer(&ramp(100, 15_000, 0), 1 << 20))
        .await;
    let series = world
        .open(id)
        .await
        .index
        .all_series()
        .expect("sound")
        .next();
    let mut deleted = Tombstones::new();
    let reference = u64::from(series.expect("one series").0);
    deleted.delete(reference, TimeRange::new(15_000, 30_000));
    world
        .put_object(id, tombstones::FILE_NAME, deleted.encode())
        .await;
    let compacted = world
        .compact(&[id], Dedup::OneToOne)
        .await
        .expect("compacts");
    let meta = compacted.block.expect("a block");
    let mut expected = ramp(100, 15_000, 0);
    expected
        .get_mut(&labels(1))
        .expect("it is there")
        .retain(|t, _| ![15_000, 30_000].contains(t));
    assert_eq!(world.samples(meta.ulid).await, expected);

    let id = world
        .put(2, (0, 2_000_000), writer(&ramp(100, 15_000, 0), 1 << 20))
        .await;
    deleted.delete(reference, TimeRange::ALL);
    world
        .put_object(id, tombstones::FILE_NAME, deleted.encode())
        .await;
    let compacted = world
        .compact(&[id], Dedup::OneToOne)
        .await
        .expect("compacts");
    assert!(compacted.block.is_none());
    assert!(world.view().await.blocks[&id].deletion_time.is_some());
}

/// An index of one series whose chunks stand in the order given, which the writer refuses to make.
fn index_by_hand(set: &Labels, chunks: &[ChunkMeta]) -> Vec<u8> {
    let frame = |out: &mut Vec<u8>, content: &[u8]| {
        out.extend_from_slice(&(content.len() as u32).to_be_bytes());
        out.extend_from_slice(content);
        out.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    };
    let mut symbols: Vec<&str> = set
        .iter()
        .flat_map(|label| [label.name, label.value])
        .collect();
    symbols.sort_unstable();
    let mut out = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    let mut content = (symbols.len() as u32).to_be_bytes().to_vec();
    for symbol in &symbols {
        put_uvarint(&mut content, symbol.len() as u64);
        content.extend_from_slice(symbol.as_bytes());
    }
    frame(&mut out, &content);
    out.resize(out.len().next_multiple_of(16), 0);
    let series_at = out.len() as u64;
    let mut entry = Vec::new();
    put_uvarint(&mut entry, set.len() as u64);
    for label in set {
        for text in [label.name, label.value] {
            let number = symbols.iter().position(|symbol| *symbol == text);
            put_uvarint(&mut entry, number.expect("it is a symbol") as u64);
        }
    }
    put_uvarint(&mut entry, chunks.len() as u64);
    let mut previous: Option<&ChunkMeta> = None;
    for chunk in chunks {
        let length = chunk.max_time.abs_diff(chunk.min_time);
        match previous {
            None => {
                put_varint(&mut entry, chunk.min_time);
                put_uvarint(&mut entry, length);
                put_uvarint(&mut entry, chunk.reference.0);
            }
            Some(previous) => {
                let distance = chunk.min_time.wrapping_sub(previous.max_time);
                put_uvarint(&mut entry, distance.cast_unsigned());
                put_uvarint(&mut entry, length);
                let delta = chunk.reference.0.wrapping_sub(previous.reference.0);
                put_varint(&mut entry, delta.cast_signed());
            }
        }
        previous = Some(chunk);
    }
    put_uvarint(&mut out, entry.len() as u64);
    out.extend_from_slice(&entry);
    out.extend_from_slice(&crc32c::crc32c(&entry).to_be_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
    let postings_at = out.len() as u64;
    let reference = (series_at / 16) as u32;
    frame(
        &mut out,
        &[1u32.to_be_bytes(), reference.to_be_bytes()].concat(),
    );
    let table_at = out.len() as u64;
    let mut table = 1u32.to_be_bytes().to_vec();
    for number in [2, 0, 0, postings_at] {
        put_uvarint(&mut table, number);
    }
    frame(&mut out, &table);
    let toc = Toc {
        symbols: 5,
        series: series_at,
        label_indices: postings_at,
        label_indices_table: table_at,
        postings: postings_at,
        postings_table: table_at,
    };
    out.extend_from_slice(&toc.encode());
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_out_of_order_and_over_each_other_are_repaired() {
    let world = World::in_memory();
    let expected = ramp(400, 5_000, 0);
    let id = world
        .put(1, (0, 2_000_000), writer(&expected, 1 << 20))
        .await;
    let block = world.open(id).await;
    let mut entry = SeriesEntry::default();
    let series = block
        .index
        .all_series()
        .expect("sound")
        .next()
        .expect("one");
    block
        .index
        .series(series, TimeRange::ALL, &mut entry)
        .expect("sound");
    assert_eq!(entry.chunks.len(), 4);
    // The last comes first, the second twice.
    let [a, b, c, d] = entry.chunks.try_into().expect("four chunks");
    let index = index_by_hand(&labels(1), &[d, a, b, c, b]);
    world.put_object(id, layout::INDEX, index).await;
    let compacted = world
        .compact(&[id], Dedup::OneToOne)
        .await
        .expect("compacts");
    assert_eq!(compacted.merged.out_of_order_series, 1);
    assert_eq!(compacted.merged.duplicates, 1);
    let meta = compacted.block.expect("a block");
    assert_eq!(world.samples(meta.ulid).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_corrupt_names_its_block_and_changes_nothing() {
    let world = World::in_memory();
    let sound = world
        .put(1, (0, 2_000_000), writer(&ramp(300, 5_000, 0), 1 << 20))
        .await;
    let broken = world
        .put(
            2,
            (2_000_000, 4_000_000),
            writer(&ramp(300, 5_000, 2_000_000), 1 << 20),
        )
        .await;
    for file in [layout::INDEX.to_owned(), segment_name(0)] {
        let object = layout::object(broken, &file);
        let bytes = world.bucket.get(&object).await.expect("reads");
        let step = if file == layout::INDEX { 1 } else { 7 };
        let first = if file == layout::INDEX { 0 } else { 8 };
        for at in (first..bytes.len()).step_by(step) {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 0x41;
            world.put_object(broken, &file, flipped).await;
            match world.compact(&[sound, broken], Dedup::OneToOne).await {
                Err(error) => {
                    let kind = error.kind();
                    assert_eq!(kind, ErrorKind::Quarantine(broken), "{file} {at}: {error}");
                    let view = world.view().await;
                    assert!(
                        view.blocks
                            .values()
                            .all(|block| block.deletion_time.is_none())
                    );
                    assert_eq!(view.blocks.len(), 2, "{file} {at}");
                }
                Ok(compacted) => {
                    // The byte is one that nobody reads; what was written is the same.
                    let meta = compacted.block.expect("a block");
                    let mut expected = union(&[ramp(300, 5_000, 0), ramp(300, 5_000, 2_000_000)]);
                    let found = world.samples(meta.ulid).await;
                    assert_eq!(found, std::mem::take(&mut expected), "{file} {at}");
                    for id in [sound, broken] {
                        let mark = layout::object(id, "deletion-mark.json");
                        world.bucket.delete(&mark).await.expect("deletes");
                    }
                    block::transfer::delete(&*world.bucket, meta.ulid)
                        .await
                        .expect("deletes");
                }
            }
        }
        for end in (0..bytes.len()).step_by(step * 3) {
            world.put_object(broken, &file, bytes[..end].to_vec()).await;
            let error = world
                .compact(&[sound, broken], Dedup::OneToOne)
                .await
                .expect_err("a part is missing");
            assert_eq!(
                error.kind(),
                ErrorKind::Quarantine(broken),
                "{file} {end}: {error}"
            );
        }
        world.put_object(broken, &file, bytes.to_vec()).await;
    }
    let compacted = world.compact(&[sound, broken], Dedup::OneToOne).await;
    assert!(compacted.expect("it is sound again").block.is_some());
}
