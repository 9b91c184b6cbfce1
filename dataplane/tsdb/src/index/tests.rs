use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{Labels, MatchOp, Matcher, TimeRange};
use proptest::prelude::*;

use super::*;
use crate::postings::Postings;
use crate::segment::ChunkRef;

type Model = BTreeMap<Labels, Vec<ChunkMeta>>;

fn write(series: &Model) -> Bytes {
    let mut writer = IndexWriter::new(Vec::new());
    let symbols: BTreeSet<&str> = series
        .keys()
        .flat_map(Labels::iter)
        .flat_map(|label| [label.name, label.value])
        .collect();
    for symbol in symbols {
        writer.add_symbol(symbol).expect("symbols are in order");
    }
    for (labels, chunks) in series {
        add(&mut writer, labels, chunks).expect("series are in order");
    }
    Bytes::from(writer.finish().expect("it is small").out)
}

fn add(
    writer: &mut IndexWriter<Vec<u8>>,
    labels: &Labels,
    chunks: &[ChunkMeta],
) -> Result<(), crate::WriteError> {
    let labels = writer.symbol_refs(labels)?;
    writer.add_series(&labels, chunks)
}

/// Series over few names and many values, so that sampled and unsampled values occur.
fn model() -> impl Strategy<Value = Model> {
    let labels = (0u8..3, 0u8..120, 0u8..3).prop_map(|(job, instance, zone)| {
        let mut pairs = vec![
            ("job".to_owned(), format!("j{job}")),
            ("instance".to_owned(), format!("host-{instance}:9100")),
        ];
        if zone > 0 {
            pairs.push(("zone".to_owned(), format!("z{zone}")));
        }
        Labels::from_pairs(pairs)
    });
    let chunk = (0i64..10_000, 0i64..10_000, 0u64..1 << 40);
    prop::collection::btree_map(labels, prop::collection::vec(chunk, 0..4), 0..80).prop_map(
        |series| {
            let mut reference = 8;
            series
                .into_iter()
                .map(|(labels, gaps)| {
                    let mut time = -5_000;
                    let chunks = gaps.into_iter().map(|(gap, length, step)| {
                        let min_time = time + gap + 1;
                        time = min_time + length;
                        reference += step;
                        ChunkMeta {
                            reference: ChunkRef(reference),
                            min_time,
                            max_time: time,
                        }
                    });
                    (labels, chunks.collect())
                })
                .collect()
        },
    )
}

fn read_all(reader: &Reader) -> Result<Model, crate::Corrupt> {
    let mut postings = reader.postings("", "")?;
    let mut entry = SeriesEntry::default();
    let mut series = Model::new();
    while let Some(reference) = postings.next() {
        reader.series(SeriesRef(reference), TimeRange::ALL, &mut entry)?;
        series.insert(reader.labels(&entry)?, entry.chunks.clone());
    }
    Ok(series)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![Just("job"), Just("instance"), Just("zone"), Just("nowhere")];
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex),
    ];
    let value = prop_oneof![
        Just(""),
        Just("j1"),
        Just("z2"),
        Just("host-7:9100"),
        Just(".*"),
        Just(".+"),
        Just("host-1.*"),
        Just("j1|j2"),
        Just("z1|"),
        Just("host-(3|4|55):9100"),
        Just("none"),
    ];
    (op, name, value)
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).expect("it compiles"))
}

proptest! {
    #[test]
    fn what_is_written_is_read(series in model()) {
        let reader = Reader::decode(write(&series)).expect("what is written is sound");
        prop_assert_eq!(read_all(&reader), Ok(series.clone()));

        let mut values: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for label in series.keys().flat_map(Labels::iter) {
            *values.entry(label.name).or_default().entry(label.value).or_default() += 1;
        }
        let table = reader.postings_table();
        prop_assert!(table.label_names().eq(values.keys().copied()));
        for (name, values) in &values {
            prop_assert_eq!(table.value_count(name), values.len());
            prop_assert!(table.values(name).map(|(value, _)| value).eq(values.keys().copied()));
            for (value, count) in values {
                let postings = reader.postings(name, value).expect("the list is sound");
                prop_assert_eq!(postings.len(), *count, "{}={}", name, value);
                let range = table.range(name, value).expect("sound").expect("it is there");
                prop_assert_eq!(range.end - range.start, *count as u64 * 4 + 12);
                let from: Vec<_> = table.values_from(name, value).collect();
                prop_assert_eq!(from.first(), Some(&(*value, range)));
            }
            prop_assert_eq!(table.range(name, "host-"), Ok(None));
        }
        for symbol in reader.symbols().iter() {
            let reference = reader.symbols().find(symbol).expect("it is there");
            prop_assert_eq!(reader.symbols().get(reference), Ok(symbol));
        }
        prop_assert_eq!(reader.symbols().find("host-"), None);
    }

    #[test]
    fn selecting_agrees_with_matching_each_series(
        series in model(),
        matchers in prop::collection::vec(matcher(), 0..4),
    ) {
        let reader = Reader::decode(write(&series)).expect("what is written is sound");
        let mut entry = SeriesEntry::default();
        let mut selected = Vec::new();
        for reference in reader.select(&matchers).expect("the lists are sound") {
            reader.series(reference, TimeRange::ALL, &mut entry).expect("the entry is sound");
            selected.push(reader.labels(&entry).expect("the symbols are there"));
        }
        let expected: Vec<Labels> = series
            .into_keys()
            .filter(|labels| matchers.iter().all(|matcher| matcher.matches_labels(labels)))
            .collect();
        prop_assert_eq!(selected, expected, "{:?}", matchers);
    }

    #[test]
    fn only_chunks_in_range_are_kept(series in model(), start in -6_000i64..40_000, length in 0i64..9_000) {
        let range = TimeRange { start, end: start + length };
        let reader = Reader::decode(write(&series)).expect("what is written is sound");
        let mut postings = reader.postings("", "").expect("the list is sound");
        let mut entry = SeriesEntry::default();
        for chunks in series.values() {
            let reference = postings.next().expect("one for each series");
            reader.series(SeriesRef(reference), range, &mut entry).expect("the entry is sound");
            let expected: Vec<_> =
                chunks.iter().copied().filter(|chunk| chunk.range().overlaps(&range)).collect();
            prop_assert_eq!(&entry.chunks, &expected);
        }
    }
}

fn small() -> Model {
    let chunk = |reference, min_time| ChunkMeta {
        reference: ChunkRef(reference),
        min_time,
        max_time: min_time + 10,
    };
    Model::from([
        (
            Labels::from_pairs([("a", "1"), ("b", "x")]),
            vec![chunk(8, 0), chunk(100, 20)],
        ),
        (Labels::from_pairs([("a", "2")]), vec![chunk(200, -50)]),
    ])
}

/// Every bit of the series section, symbols, postings, tables is behind a checksum; the header and
/// frame lengths are not, so that reading may fail late, but never gives something else.
#[test]
fn no_flipped_bit_and_no_cut_gives_another_index() {
    let sound = write(&small());
    let expected = read_all(&Reader::decode(sound.clone()).expect("it is sound"));
    assert_eq!(expected, Ok(small()));
    for bit in 0..sound.len() * 8 {
        let mut data = sound.to_vec();
        data[bit / 8] ^= 1 << (bit % 8);
        if let Ok(read) = Reader::decode(Bytes::from(data)).and_then(|reader| read_all(&reader)) {
            assert_eq!(read, small(), "bit {bit}");
        }
    }
    for end in 0..sound.len() {
        assert!(Reader::decode(sound.slice(..end)).is_err(), "cut at {end}");
    }
}

#[test]
fn out_of_order_input_is_refused() {
    let mut writer = IndexWriter::new(Vec::new());
    for symbol in ["a", "b", "c"] {
        writer.add_symbol(symbol).expect("in order");
    }
    assert!(writer.add_symbol("c").is_err());
    let chunk = |reference, min_time, max_time| ChunkMeta {
        reference: ChunkRef(reference),
        min_time,
        max_time,
    };
    let series = |value| Labels::from_pairs([("a", value)]);
    assert!(add(&mut writer, &series("b"), &[chunk(8, 0, 5), chunk(9, 6, 9)]).is_ok());
    assert!(
        add(&mut writer, &series("a"), &[]).is_err(),
        "series ascend"
    );
    assert!(
        add(&mut writer, &series("d"), &[]).is_err(),
        "symbols come first"
    );
    assert!(
        add(
            &mut writer,
            &series("c"),
            &[chunk(10, 0, 5), chunk(11, 5, 9)]
        )
        .is_err()
    );
    assert!(add(&mut writer, &series("c"), &[chunk(10, 5, 0)]).is_err());
    assert!(add(&mut writer, &series("c"), &[chunk(1, 0, 5)]).is_err());
    assert!(writer.add_symbol("d").is_err(), "series came already");
}

/// Version 1 names symbols by offset and series by byte, and its postings table has no order.
#[test]
fn version_1_is_read() {
    let mut data = vec![0xba, 0xaa, 0xd7, 0x00, 1];
    let frame = |data: &mut Vec<u8>, content: &[u8]| {
        data.extend_from_slice(&(content.len() as u32).to_be_bytes());
        data.extend_from_slice(content);
        data.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    };
    let symbols_at = data.len();
    // "a" at 13, "b" at 15, "x" at 17.
    frame(&mut data, b"\x00\x00\x00\x03\x01a\x01b\x01x");
    let series_at = data.len();
    // {b="x"}, one chunk from 1 to 3 at reference 8.
    let entry = [1, 15, 17, 1, 2, 2, 8];
    data.push(entry.len() as u8);
    data.extend_from_slice(&entry);
    data.extend_from_slice(&crc32c::crc32c(&entry).to_be_bytes());
    let postings_at = data.len();
    let reference = (series_at as u32).to_be_bytes();
    let list = [&[0, 0, 0, 1], reference.as_slice()].concat();
    frame(&mut data, &list);
    let second_at = data.len();
    frame(&mut data, &list);
    let table_at = data.len();
    let table = [
        &[0, 0, 0, 2, 2, 1, b'b', 1, b'x', second_at as u8],
        [2, 0, 0, postings_at as u8].as_slice(),
    ]
    .concat();
    frame(&mut data, &table);
    let toc = Toc {
        symbols: symbols_at as u64,
        series: series_at as u64,
        label_indices: postings_at as u64,
        label_indices_table: table_at as u64,
        postings: postings_at as u64,
        postings_table: table_at as u64,
    };
    data.extend_from_slice(&toc.encode());

    let reader = Reader::decode(Bytes::from(data)).expect("it is sound");
    assert_eq!(reader.version(), Version::V1);
    let labels = Labels::from_pairs([("b", "x")]);
    let chunk = ChunkMeta {
        reference: ChunkRef(8),
        min_time: 1,
        max_time: 3,
    };
    assert_eq!(read_all(&reader), Ok(Model::from([(labels, vec![chunk])])));
    assert_eq!(reader.symbols().find("x"), Some(SymbolRef(17)));
    assert_eq!(
        reader.select(&[Matcher::equal("b", "x")]),
        Ok(vec![SeriesRef(series_at as u32)])
    );
    assert!(reader.postings_table().label_names().eq(["b"]));
}
