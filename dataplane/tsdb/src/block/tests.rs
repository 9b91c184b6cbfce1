use bytes::Bytes;
use model::ulid::BlockId;
use model::{Labels, TimeRange};
use proptest::prelude::*;

use super::*;
use crate::meta;
use crate::tombstones::Tombstones;

type Samples = Vec<(Labels, Vec<(i64, f64)>)>;

fn write(series: &Samples, segment_bytes: u64) -> WrittenBlock {
    let mut writer = BlockWriter::new().with_segment_bytes(segment_bytes);
    for (labels, samples) in series {
        writer.add(labels.clone(), cut_float_chunks(samples));
    }
    let ulid = BlockId::from_parts(1_700_000_000_000, 7);
    writer.finish(ulid, None).expect("the input is sound")
}

fn open(files: &[(String, Vec<u8>)]) -> Result<BlockReader, Corrupt> {
    let file = |name: &str| {
        files
            .iter()
            .find(|file| file.0 == name)
            .map(|file| file.1.clone())
    };
    let meta = BlockMeta::decode(&file(meta::FILE_NAME).unwrap_or_default())?;
    let segments = files.iter().filter(|file| file.0.starts_with("chunks/"));
    let segments = segments.map(|file| Bytes::from(file.1.clone())).collect();
    let index = Bytes::from(file(INDEX_FILE_NAME).unwrap_or_default());
    BlockReader::new(meta, index, segments, Tombstones::new())
}

fn read(block: &BlockReader) -> Result<Samples, Corrupt> {
    let mut all = Vec::new();
    for series in block.select(&[], TimeRange::ALL)? {
        let mut columns = Columns::new();
        for (_, chunk) in series.chunks {
            chunk::decode_xor(chunk.data, &mut columns)
                .map_err(|corrupt| Corrupt::in_chunk(&corrupt, ChunkRef(0)))?;
        }
        all.push((series.labels, columns.iter().collect()));
    }
    Ok(all)
}

fn series(n_series: usize, n_samples: usize) -> Samples {
    (0..n_series)
        .map(|i| {
            let labels =
                Labels::from_pairs([("__name__", "m".to_owned()), ("i", format!("{i:03}"))]);
            let samples = (0..n_samples)
                .map(|s| (1_000 * s as i64, (i * s) as f64))
                .collect();
            (labels, samples)
        })
        .collect()
}

#[test]
fn a_block_over_several_segments_is_read_back() {
    let expected = series(40, 300);
    let written = write(&expected, 2_000);
    assert!(
        written.files.len() > 4,
        "several segments, the index, the meta"
    );
    assert_eq!(
        written.files.last().map(|file| file.0.as_str()),
        Some("meta.json")
    );
    assert_eq!(written.meta.stats.num_samples, 40 * 300);
    assert_eq!(written.meta.stats.num_chunks, 40 * 3);
    assert_eq!((written.meta.min_time, written.meta.max_time), (0, 299_001));
    for (name, bytes) in &written.files {
        assert!(
            !name.starts_with("chunks/") || bytes.len() <= 2_000,
            "{name}: {}",
            bytes.len()
        );
    }
    let block = open(&written.files).expect("what is written is sound");
    assert_eq!(block.verify(), Ok(()));
    assert_eq!(read(&block), Ok(expected));
}

#[test]
fn the_same_series_in_any_order_make_the_same_files() {
    let mut input = series(20, 10);
    let files = write(&input, 1 << 20).files;
    input.reverse();
    assert_eq!(write(&input, 1 << 20).files, files);
}

#[test]
fn a_block_without_series_is_sound() {
    let written = write(&Vec::new(), 1 << 20);
    let block = open(&written.files).expect("what is written is sound");
    assert_eq!(block.verify(), Ok(()));
    assert_eq!(read(&block), Ok(Vec::new()));
}

/// Whatever byte of index or chunks is wrong, reading either fails or gives the written samples.
#[test]
fn no_flipped_byte_and_no_cut_gives_a_wrong_sample() {
    let expected = series(3, 40);
    let sound = write(&expected, 1 << 20).files;
    for (i, (name, bytes)) in sound.iter().enumerate() {
        if name == meta::FILE_NAME {
            continue;
        }
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut files = sound.clone();
                files[i].1[at] ^= flip;
                if let Ok(found) = open(&files).and_then(|block| read(&block)) {
                    assert_eq!(
                        found, expected,
                        "{name} with byte {at} flipped by {flip:#x}"
                    );
                }
            }
            let mut files = sound.clone();
            files[i].1.truncate(at);
            let found = open(&files).and_then(|block| read(&block));
            assert!(found.is_err(), "{name} cut at {at}");
        }
    }
}

/// The same for the meta: it may say something else, but it never makes reading panic.
#[test]
fn no_flipped_byte_of_the_meta_panics() {
    let sound = write(&series(1, 2), 1 << 20).files;
    let meta = &sound.last().expect("the meta is last").1;
    for at in 0..meta.len() {
        let mut bytes = meta.clone();
        bytes[at] ^= 0x15;
        let mut files = sound.clone();
        files.last_mut().expect("the meta is last").1 = bytes;
        if let Ok(block) = open(&files) {
            assert_eq!(read(&block), Ok(series(1, 2)));
        }
    }
}

#[test]
fn verify_finds_chunks_that_are_not_where_the_index_says() {
    let mut writer = BlockWriter::new();
    let mut chunks = cut_float_chunks(&[(0, 1.0), (10, 2.0)]);
    chunks[0].max_time = 11;
    writer.add(Labels::from_pairs([("a", "b")]), chunks);
    let written = writer
        .finish(BlockId::from_parts(0, 0), None)
        .expect("it is written");
    let block = open(&written.files).expect("it opens");
    let error = block.verify().expect_err("the index lies");
    assert_eq!(
        error.to_string(),
        "corrupt chunks/000001: a chunk's samples are not where the index says at byte 8"
    );
}

proptest! {
    #[test]
    fn segments_cut_anywhere_are_read_back(
        lengths in prop::collection::vec(1usize..400, 1..12),
        segment_bytes in 60u64..3_000,
    ) {
        let expected: Samples = lengths
            .iter()
            .enumerate()
            .map(|(i, &length)| {
                let labels = Labels::from_pairs([("i", format!("{i:03}"))]);
                (labels, (0..length).map(|s| (s as i64, 1.0 / (s + i) as f64)).collect())
            })
            .collect();
        let written = write(&expected, segment_bytes);
        let block = open(&written.files).expect("what is written is sound");
        prop_assert_eq!(block.verify(), Ok(()));
        let found = read(&block).expect("what is written is sound");
        prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }
}
