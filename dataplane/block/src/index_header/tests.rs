use model::{Labels, Matcher, TimeRange};
use objstore::{Bucket, ObjectStoreBucket};
use tsdb::block::{BlockWriter, cut_float_chunks};
use tsdb::index::{Reader, SelectorPlan, SeriesEntry};

use super::*;
use crate::layout;

fn id() -> BlockId {
    BlockId::from_parts(1_700_000_000_000, 1)
}

/// Returns the index of a block with some hundred values of one label.
fn index() -> Vec<u8> {
    let mut writer = BlockWriter::new();
    for i in 0..300 {
        let labels = Labels::from_pairs([
            ("__name__", "up".to_owned()),
            ("instance", format!("host-{i}")),
            ("job", format!("job-{}", i % 7)),
        ]);
        writer.add(labels, cut_float_chunks(&[(i, 1.0), (i + 10, 2.0)]));
    }
    let written = writer.finish(id(), None).expect("writes");
    let index = written
        .files
        .into_iter()
        .find(|(name, _)| name == layout::INDEX);
    index.expect("a block has an index").1
}

async fn built(index: &[u8], size: Option<u64>) -> Result<(IndexHeader, Vec<u8>), BlockError> {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("block").join(FILE_NAME);
    let bucket = ObjectStoreBucket::in_memory("b");
    let object = layout::object(id(), layout::INDEX);
    bucket
        .upload(&object, index.to_vec().into())
        .await
        .expect("uploads");
    build(&bucket, id(), size, &path).await?;
    let bytes = std::fs::read(&path).expect("reads");
    Ok((IndexHeader::open(id(), &path)?, bytes))
}

#[tokio::test]
async fn header_answers_as_the_whole_index_does() {
    let index = index();
    let (header, _) = built(&index, None).await.expect("builds");
    let reader = Reader::decode(index.into()).expect("sound");
    assert_eq!(header.toc(), reader.toc());
    assert_eq!(header.symbols().len(), reader.symbols().len());
    for name in ["__name__", "instance", "job", "absent", ""] {
        let values: Vec<_> = reader.postings_table().values(name).collect();
        assert_eq!(
            header.postings().values(name).collect::<Vec<_>>(),
            values,
            "{name}"
        );
        for (value, range) in values {
            assert_eq!(
                header.postings().range(name, value).expect("sound"),
                Some(range)
            );
        }
    }
    for value in [
        "host-",
        "host-0",
        "host-299",
        "host-3",
        "host-9999",
        "z",
        "",
    ] {
        assert_eq!(
            header.postings().range("instance", value).expect("sound"),
            reader
                .postings_table()
                .range("instance", value)
                .expect("sound"),
            "{value}"
        );
    }
    let matchers = [
        Matcher::equal("job", "job-3"),
        Matcher::equal("__name__", "up"),
    ];
    let plan = SelectorPlan::new(header.postings(), &matchers)
        .expect("sound")
        .expect("matches");
    let series = plan
        .series(|range| reader.postings_at(range.start))
        .expect("sound");
    assert_eq!(series.len(), 43);
    let mut entry = SeriesEntry::default();
    for reference in series {
        let reference = tsdb::index::SeriesRef(reference);
        reader
            .series(reference, TimeRange::ALL, &mut entry)
            .expect("sound");
        let labels = tsdb::index::resolve_labels(header.symbols(), &entry.labels).expect("sound");
        assert_eq!(labels.get("job"), Some("job-3"));
    }
}

#[tokio::test]
async fn file_has_thanos_layout() {
    let index = index();
    let (header, bytes) = built(&index, Some(index.len() as u64))
        .await
        .expect("builds");
    let toc = header.toc();
    let at = |offset: u64| usize::try_from(offset).expect("small");
    assert_eq!(bytes[..6], [0xba, 0xaa, 0xd7, 0x92, 1, index[4]]);
    assert_eq!(bytes[6..14], toc.postings_table.to_be_bytes());
    let symbols = &index[at(toc.symbols)..at(toc.series)];
    let table = &index[at(toc.postings_table)..];
    assert_eq!(
        bytes[14..],
        [symbols, table, &bytes[bytes.len() - 20..]].concat()
    );
    let own = &bytes[bytes.len() - 20..];
    assert_eq!(own[..8], 14u64.to_be_bytes());
    assert_eq!(own[8..16], (14 + symbols.len() as u64).to_be_bytes());
    assert_eq!(own[16..], crc32c::crc32c(&own[..16]).to_be_bytes());
}

#[tokio::test]
async fn every_flipped_byte_and_every_cut_is_noticed() {
    let (_, bytes) = built(&index(), None).await.expect("builds");
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        assert!(
            IndexHeader::decode(flipped.into()).is_err(),
            "flip at {at} of {}",
            bytes.len()
        );
    }
    for len in 0..bytes.len() {
        let cut = bytes[..len].to_vec();
        assert!(
            IndexHeader::decode(cut.into()).is_err(),
            "cut to {len} of {}",
            bytes.len()
        );
    }
}

#[tokio::test]
async fn unsound_index_gives_no_header() {
    let index = index();
    let mut flipped = index.clone();
    let end = flipped.len();
    flipped[end - 10] ^= 1;
    let error = built(&flipped, None).await.expect_err("flipped");
    assert!(error.to_string().contains(&id().to_string()), "{error}");
    for len in [0, 4, 20, 60, index.len() - 1] {
        assert!(built(&index[..len], None).await.is_err(), "cut to {len}");
    }
    let error = built(&index, Some(index.len() as u64 + 1))
        .await
        .expect_err("shorter than listed");
    assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{error}");
}
