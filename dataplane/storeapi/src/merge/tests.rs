use bytes::Bytes;
use chunk::Encoding;
use futures::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::*;
use crate::series::Payload;
use crate::store::{Component, StoreInfo};

fn chunk(min_time: i64, max_time: i64, data: u8) -> Chunk {
    let payload = Payload {
        encoding: Encoding::Xor,
        data: Bytes::from(vec![0, 1, data]),
    };
    Chunk::raw(min_time, max_time, payload)
}

fn series(name: &str, chunks: &[(i64, i64, u8)]) -> SeriesFrame {
    SeriesFrame::Series(Series {
        labels: Labels::from_pairs([("a", name)]),
        chunks: chunks
            .iter()
            .map(|(min, max, data)| chunk(*min, *max, *data))
            .collect(),
    })
}

fn source(name: &str, frames: Vec<Result<SeriesFrame, StoreError>>) -> Source {
    let record = Arc::new(StoreRecord::new(name.into(), &StoreInfo::default()));
    Source::new(futures::stream::iter(frames).boxed(), record)
}

fn ok(name: &str, frames: &[SeriesFrame]) -> Source {
    source(name, frames.iter().cloned().map(Ok).collect())
}

fn run(merge: Merge) -> Vec<String> {
    let frames: Vec<_> = merge.collect().now_or_never().expect("nothing to wait for");
    let show = |frame: Result<SeriesFrame, StoreError>| match frame {
        Ok(SeriesFrame::Series(s)) => {
            let chunks = s.chunks.iter().map(|c| {
                let data = c.raw.as_ref().and_then(|raw| raw.data.last());
                format!(" {}-{}:{}", c.min_time, c.max_time, data.expect("data"))
            });
            format!(
                "{}{}",
                s.labels.get("a").unwrap_or_default(),
                chunks.collect::<String>()
            )
        }
        Ok(SeriesFrame::Warning(text)) => format!("warning: {text}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error ({:?}): {error}", error.kind()),
    };
    frames.into_iter().map(show).collect()
}

#[test]
fn equal_label_sets_become_one_and_identical_chunks_are_dropped() {
    let a = ok(
        "a",
        &[
            series("1", &[(0, 9, 1), (10, 19, 1)]),
            series("3", &[(0, 9, 3)]),
        ],
    );
    let b = ok(
        "b",
        &[
            series("1", &[(0, 9, 1), (10, 19, 2)]),
            series("2", &[(5, 6, 7)]),
        ],
    );
    assert_eq!(
        run(Merge::new(vec![a, b], PartialResponse::Warn, 0)),
        ["1 0-9:1 10-19:1 10-19:2", "2 5-6:7", "3 0-9:3"]
    );
}

#[test]
fn a_series_split_over_frames_comes_out_whole_and_in_order_of_time() {
    let a = ok(
        "a",
        &[
            series("1", &[(20, 29, 1)]),
            series("1", &[(0, 9, 1)]),
            series("2", &[]),
        ],
    );
    let b = ok("b", &[series("1", &[(10, 19, 1)])]);
    assert_eq!(
        run(Merge::new(vec![a, b], PartialResponse::Warn, 0)),
        ["1 0-9:1 10-19:1 20-29:1", "2"]
    );
}

#[test]
fn a_store_that_returns_to_a_label_set_is_named() {
    for (strategy, expected) in [
        (
            PartialResponse::Warn,
            vec![
                r#"warning: store liar: series out of order: {a="1"} came after {a="2"}"#,
                "1 0-9:1",
                "2",
            ],
        ),
        (
            PartialResponse::Abort,
            vec![r#"error (Aborted): store liar: series out of order: {a="1"} came after {a="2"}"#],
        ),
    ] {
        let liar = ok("liar", &[series("2", &[]), series("1", &[(0, 9, 1)])]);
        let honest = ok("honest", &[series("1", &[(0, 9, 1)])]);
        let mut seen = run(Merge::new(vec![liar, honest], strategy, 0));
        if strategy == PartialResponse::Warn {
            seen.sort_by_key(|line| !line.starts_with("warning"));
        } else {
            seen.retain(|line| line.starts_with("error"));
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_failing_store_is_a_warning_or_the_end() {
    let broken = || {
        source(
            "x:1",
            vec![Ok(series("1", &[])), Err(StoreError::invalid("gone"))],
        )
    };
    let fine = || ok("fine", &[series("2", &[])]);
    assert_eq!(
        run(Merge::new(vec![broken(), fine()], PartialResponse::Warn, 0)),
        ["warning: store x:1: gone", "1", "2"]
    );
    assert_eq!(
        run(Merge::new(
            vec![broken(), fine()],
            PartialResponse::Abort,
            0
        )),
        ["error (Aborted): store x:1: gone"]
    );
}

#[test]
fn the_limit_counts_series_not_frames() {
    let a = ok(
        "a",
        &[
            series("1", &[(0, 1, 1)]),
            series("1", &[(2, 3, 1)]),
            series("2", &[]),
        ],
    );
    let b = ok("b", &[series("1", &[(4, 5, 1)]), series("3", &[])]);
    assert_eq!(
        run(Merge::new(vec![a, b], PartialResponse::Warn, 2)),
        ["1 0-1:1 2-3:1 4-5:1", "2"]
    );
}

#[test]
fn nothing_to_merge_is_an_empty_answer() {
    assert!(run(Merge::new(vec![], PartialResponse::Abort, 0)).is_empty());
    assert!(run(Merge::new(vec![ok("a", &[])], PartialResponse::Abort, 5)).is_empty());
}

#[test]
fn what_each_store_sent_is_recorded() {
    let a = ok("a", &[series("1", &[(0, 9, 1), (10, 19, 1)])]);
    let b = source("b", vec![Err(StoreError::invalid("gone"))]);
    let records = [Arc::clone(&a.record), Arc::clone(&b.record)];
    run(Merge::new(vec![a, b], PartialResponse::Warn, 0));
    let [a, b] = records.map(|record| record.snapshot());
    assert_eq!(
        (a.series, a.chunks, a.samples, a.bytes),
        (1, 2, 2, 10),
        "two chunks of 3 bytes, labels of 4"
    );
    assert_eq!((a.component, a.error), (Component::Unknown, None));
    assert_eq!(b.error.as_deref(), Some("gone"));
}

/// Streams that are pending now and then, to exercise every place where the merge waits.
fn hesitant(frames: Vec<SeriesFrame>, every: usize) -> SeriesStream {
    let mut polls = 0;
    let mut frames = frames.into_iter();
    futures::stream::poll_fn(move |cx| {
        polls += 1;
        if every > 0 && polls % (every + 1) == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(frames.next().map(Ok))
    })
    .boxed()
}

proptest! {
    #[test]
    fn merges_like_a_map(
        stores in proptest::collection::vec(
            (proptest::collection::vec((0u8..8, proptest::collection::vec((0i64..4, 0u8..3), 0..3)), 0..12), 0usize..3),
            0..6,
        )
    ) {
        let mut model: std::collections::BTreeMap<String, Vec<Chunk>> = Default::default();
        let mut sources = Vec::new();
        for (i, (mut entries, every)) in stores.into_iter().enumerate() {
            entries.sort();
            let frames = entries.iter().map(|(name, chunks)| {
                let chunks: Vec<_> = chunks.iter().map(|(t, d)| (*t, *t + 1, *d)).collect();
                model.entry(name.to_string()).or_default()
                    .extend(chunks.iter().map(|(a, b, d)| chunk(*a, *b, *d)));
                series(&name.to_string(), &chunks)
            }).collect();
            let record = StoreRecord::new(i.to_string().into(), &StoreInfo::default());
            sources.push(Source::new(hesitant(frames, every), Arc::new(record)));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let merged: Vec<_> =
            runtime.block_on(Merge::new(sources, PartialResponse::Abort, 0).collect());
        let merged: Vec<_> = merged.into_iter().map(|frame| match frame {
            Ok(SeriesFrame::Series(s)) => {
                let distinct: std::collections::BTreeSet<_> = s.chunks.iter().cloned().collect();
                (s.labels.get("a").expect("labelled").to_owned(), s.chunks.is_sorted_by_key(|c| (c.min_time, c.max_time)), distinct)
            }
            other => panic!("{other:?}"),
        }).collect();
        let expected: Vec<_> = model.into_iter()
            .map(|(name, chunks)| (name, true, chunks.into_iter().collect()))
            .collect();
        prop_assert_eq!(merged, expected);
    }
}
