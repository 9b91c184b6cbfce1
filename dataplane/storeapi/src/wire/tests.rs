use bytes::Bytes;
use chunk::Encoding;
use model::Labels;
use proptest::prelude::*;
use prost::Message;

use super::WireFrame;
use crate::proto::thanos as pb;
use crate::series::{Aggregate, Chunk, Payload, Series};

/// The same message through generated code, as a Go peer would build it.
#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, optional, tag = "1")]
    series: Option<pb::Series>,
    #[prost(string, optional, tag = "2")]
    warning: Option<String>,
    #[prost(message, optional, tag = "4")]
    batch: Option<pb::SeriesBatch>,
}

fn peer_payload(payload: &Payload) -> pb::Chunk {
    pb::Chunk {
        r#type: payload.encoding as i32 - 1,
        data: payload.data.clone(),
        hash: 0,
    }
}

fn peer_series(series: &Series) -> pb::Series {
    let of = |chunk: &Chunk, a| chunk.payload(a).map(peer_payload);
    pb::Series {
        labels: series
            .labels
            .iter()
            .map(|l| pb::Label {
                name: l.name.to_owned(),
                value: l.value.to_owned(),
            })
            .collect(),
        chunks: series
            .chunks
            .iter()
            .map(|chunk| pb::AggrChunk {
                min_time: chunk.min_time,
                max_time: chunk.max_time,
                raw: of(chunk, Aggregate::Raw),
                count: of(chunk, Aggregate::Count),
                sum: of(chunk, Aggregate::Sum),
                min: of(chunk, Aggregate::Min),
                max: of(chunk, Aggregate::Max),
                counter: of(chunk, Aggregate::Counter),
            })
            .collect(),
    }
}

fn any_payload() -> impl Strategy<Value = Payload> {
    (1u8..=6, proptest::collection::vec(any::<u8>(), 0..200)).prop_map(|(encoding, data)| Payload {
        encoding: Encoding::from_u8(encoding).expect("known"),
        data: Bytes::from(data),
    })
}

fn any_chunk() -> impl Strategy<Value = Chunk> {
    let parts = proptest::collection::vec(proptest::option::of(any_payload()), 6);
    (any::<i64>(), any::<i64>(), parts).prop_map(|(min_time, max_time, parts)| {
        let mut chunk = Chunk {
            min_time,
            max_time,
            ..Chunk::default()
        };
        for (aggregate, part) in Aggregate::ALL.into_iter().zip(parts) {
            if let Some(part) = part {
                chunk.set_payload(aggregate, part);
            }
        }
        chunk
    })
}

fn any_series() -> impl Strategy<Value = Series> {
    let labels = proptest::collection::btree_map("[a-z_]{1,20}", "\\PC{1,150}", 0..8);
    (labels, proptest::collection::vec(any_chunk(), 0..5)).prop_map(|(labels, chunks)| Series {
        labels: Labels::from_pairs(labels),
        chunks,
    })
}

proptest! {
    #[test]
    fn a_batch_is_byte_for_byte_what_generated_code_writes(
        batch in proptest::collection::vec(any_series(), 0..6)
    ) {
        let frame = WireFrame::Batch(batch.clone());
        let bytes = frame.encode_to_vec();
        let peer = Peer {
            batch: Some(pb::SeriesBatch { series: batch.iter().map(peer_series).collect() }),
            ..Peer::default()
        };
        prop_assert_eq!(&bytes, &peer.encode_to_vec());
        prop_assert_eq!(bytes.len(), frame.encoded_len());
        prop_assert_eq!(WireFrame::decode(bytes.as_slice()).expect("decodes"), frame);
    }

    #[test]
    fn a_single_series_is_what_generated_code_writes(series in any_series()) {
        let frame = WireFrame::Series(series.clone());
        let peer = Peer { series: Some(peer_series(&series)), ..Peer::default() };
        prop_assert_eq!(frame.encode_to_vec(), peer.encode_to_vec());
        let back = WireFrame::decode(Bytes::from(peer.encode_to_vec())).expect("decodes");
        prop_assert_eq!(back, frame);
    }

    #[test]
    fn any_bytes_are_an_answer_or_an_error_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = WireFrame::decode(bytes.as_slice());
        let mut framed = vec![0x22];
        prost::encoding::encode_varint(bytes.len() as u64, &mut framed);
        framed.extend_from_slice(&bytes);
        let _ = WireFrame::decode(framed.as_slice());
    }

    #[test]
    fn a_flipped_byte_never_panics(series in any_series(), at in any::<prop::sample::Index>(), with in 1u8..) {
        let mut bytes = WireFrame::Batch(vec![series]).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        let _ = WireFrame::decode(Bytes::from(bytes));
    }
}

#[test]
fn labels_out_of_order_are_sorted() {
    let label = |name: &str, value: &str| pb::Label {
        name: name.into(),
        value: value.into(),
    };
    let series = pb::Series {
        labels: vec![label("b", "2"), label("a", "1"), label("e", "")],
        chunks: vec![],
    };
    let bytes = Peer {
        series: Some(series),
        ..Peer::default()
    }
    .encode_to_vec();
    let WireFrame::Series(series) = WireFrame::decode(bytes.as_slice()).expect("decodes") else {
        panic!("not a series");
    };
    assert_eq!(series.labels, Labels::from_pairs([("a", "1"), ("b", "2")]));
}

#[test]
fn a_truncated_series_says_what_is_wrong() {
    // batch { series { field 1 of 9 bytes, of which none is there } }
    let frame = WireFrame::decode([0x22, 4, 0x0a, 2, 0x0a, 9].as_slice()).expect("a value");
    assert_eq!(
        frame,
        WireFrame::Corrupt {
            what: "field is longer than its message",
            at: 4
        }
    );
}

#[test]
fn chunk_data_is_a_slice_of_the_frame() {
    let payload = Payload {
        encoding: Encoding::Xor,
        data: Bytes::from(vec![7; 100]),
    };
    let series = Series {
        labels: Labels::empty(),
        chunks: vec![Chunk::raw(1, 2, payload)],
    };
    let bytes = Bytes::from(WireFrame::Series(series).encode_to_vec());
    let WireFrame::Series(series) = WireFrame::decode(bytes.clone()).expect("decodes") else {
        panic!("not a series");
    };
    let data = &series.chunks[0].raw.as_ref().expect("raw").data;
    assert!(
        bytes.as_ptr_range().contains(&data.as_ptr()),
        "chunk data was copied"
    );
}
