//! Chunks that Prometheus encoded, with their samples: `testdata/vectors.txt` is what
//! `gopeer vectors` prints.

#[path = "../testdata/dump.rs"]
mod dump;

use chunk::histogram::{FloatHistogramAppender, HistogramAppender};
use chunk::{
    Columns, Encoding, HistogramColumns, XorAppender, decode_floats, decode_histograms, decode_xor,
    first_timestamp, sample_count,
};
use proptest::prelude::*;

struct Vector {
    encoding: Encoding,
    data: Vec<u8>,
    samples: String,
}

fn vectors() -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in include_str!("../testdata/vectors.txt").lines() {
        if let Some(chunk) = line.strip_prefix("chunk ") {
            let (encoding, hex) = chunk.split_once(' ').expect("encoding and bytes");
            let encoding = Encoding::from_u8(encoding.parse().expect("a number"));
            let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hexadecimal digits");
            vectors.push(Vector {
                encoding: encoding.expect("a known encoding"),
                data: (0..hex.len()).step_by(2).map(byte).collect(),
                samples: String::new(),
            });
        } else {
            let vector = vectors.last_mut().expect("samples follow their chunk");
            vector.samples.push_str(line);
            vector.samples.push('\n');
        }
    }
    vectors
}

#[test]
fn prometheus_chunks_of_every_encoding_are_decoded() {
    let mut seen = [0; 7];
    for vector in vectors() {
        let mut samples = String::new();
        let decoded = dump::dump_samples(vector.encoding, &vector.data, &mut samples);
        assert_eq!(decoded, Ok(()), "{:?}", vector.encoding);
        assert_eq!(samples, vector.samples, "{:?}", vector.encoding);
        let count = sample_count(vector.encoding, &vector.data).map(usize::from);
        assert_eq!(count, Ok(samples.lines().count()));
        let first = first_timestamp(vector.encoding, &vector.data).expect("it has samples");
        assert!(samples.starts_with(&format!("{first} ")));
        seen[vector.encoding as usize] += 1;
    }
    assert!(seen[1..].iter().all(|count| *count >= 5), "{seen:?}");
}

#[test]
fn what_prometheus_encoded_is_encoded_to_the_same_bytes() {
    for vector in vectors() {
        let encoded = match vector.encoding {
            Encoding::Xor => {
                let mut columns = Columns::new();
                decode_xor(&vector.data, &mut columns).expect("it is sound");
                let mut appender = XorAppender::new();
                for (t, value) in columns.iter() {
                    assert!(appender.append(t, value));
                }
                appender.finish()
            }
            Encoding::Histogram => {
                let columns = histograms(&vector);
                let mut appender = HistogramAppender::new(columns.counter_reset_header());
                for i in 0..columns.len() {
                    let histogram = columns.histogram(i).expect("the row is there");
                    let t = columns.timestamp(i).expect("the row is there");
                    assert_eq!(appender.append(t, &histogram), Ok(()));
                }
                assert_eq!(appender.byte_len(), vector.data.len());
                appender.finish()
            }
            Encoding::FloatHistogram => {
                let columns = histograms(&vector);
                let mut appender = FloatHistogramAppender::new(columns.counter_reset_header());
                for i in 0..columns.len() {
                    let histogram = columns.float_histogram(i).expect("the row is there");
                    let t = columns.timestamp(i).expect("the row is there");
                    assert_eq!(appender.append(t, &histogram), Ok(()));
                }
                assert_eq!(appender.byte_len(), vector.data.len());
                appender.finish()
            }
            _ => continue,
        };
        assert_eq!(encoded, vector.data, "{:?}", vector.encoding);
    }
}

fn histograms(vector: &Vector) -> HistogramColumns {
    let mut columns = HistogramColumns::new();
    decode_histograms(vector.encoding, &vector.data, &mut columns).expect("it is sound");
    columns
}

/// A chunk alone has no checksum, so that flipped bits may decode to something else, but cut-off ones
/// do not decode, and nothing panics or runs away with memory.
#[test]
fn every_cut_is_refused_and_no_flipped_bit_panics() {
    let mut columns = Columns::new();
    let mut histograms = HistogramColumns::new();
    for vector in vectors()
        .into_iter()
        .filter(|vector| vector.data.len() < 500)
    {
        let mut decode = |data: &[u8]| {
            columns.clear();
            if vector.encoding.is_float() {
                decode_floats(vector.encoding, data, &mut columns)
            } else {
                decode_histograms(vector.encoding, data, &mut histograms)
            }
        };
        for end in 0..vector.data.len() {
            assert!(
                decode(&vector.data[..end]).is_err(),
                "{:?} at {end}",
                vector.encoding
            );
        }
        let mut data = vector.data.clone();
        for bit in 0..data.len() * 8 {
            data[bit / 8] ^= 1 << (bit % 8);
            // Either answer is right, a panic is not.
            let _ = decode(&data);
            data[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(encoding in 1u8..7, data in prop::collection::vec(any::<u8>(), 0..300)) {
        let encoding = Encoding::from_u8(encoding).expect("it is known");
        let mut out = String::new();
        let decoded = dump::dump_samples(encoding, &data, &mut out);
        if decoded.is_ok() {
            prop_assert_eq!(sample_count(encoding, &data).map(usize::from), Ok(out.lines().count()));
        }
    }
}
