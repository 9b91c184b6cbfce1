//! The first byte is the encoding, the rest the chunk: every decoder answers and none panics.
#![no_main]

use chunk::{AggregateChunk, Columns, Encoding, HistogramColumns};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&encoding, data)) = data.split_first() else { return };
    let Some(encoding) = Encoding::from_u8(encoding) else { return };
    let _ = chunk::first_timestamp(encoding, data);
    if encoding.is_float() {
        let mut columns = Columns::new();
        if chunk::decode_floats(encoding, data, &mut columns).is_ok() {
            let count = chunk::sample_count(encoding, data).map(usize::from);
            assert_eq!(count, Ok(columns.len()));
        } else {
            assert!(columns.is_empty());
        }
    } else if encoding.is_histogram() {
        let mut columns = HistogramColumns::new();
        if chunk::decode_histograms(encoding, data, &mut columns).is_ok() {
            for i in 0..columns.len() {
                assert!(columns.float_histogram(i).is_some());
            }
        }
    } else if let Ok(aggregate) = AggregateChunk::decode(data) {
        assert_eq!(AggregateChunk::decode(&aggregate.encode()), Ok(aggregate));
    }
});
