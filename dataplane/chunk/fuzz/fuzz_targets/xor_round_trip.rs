//! Sixteen bytes a sample: any times and values come back bit by bit.
#![no_main]

use chunk::{Columns, XorAppender, decode_xor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (samples, _) = data.as_chunks::<16>();
    let mut appender = XorAppender::new();
    let mut expected = Vec::new();
    for sample in samples {
        let both = u128::from_le_bytes(*sample);
        let (t, value) = (both as i64, (both >> 64) as u64);
        if appender.append(t, f64::from_bits(value)) {
            expected.push((t, value));
        }
    }
    let mut columns = Columns::new();
    decode_xor(&appender.finish(), &mut columns).expect("what is appended decodes");
    let decoded: Vec<_> = columns.iter().map(|(t, value)| (t, value.to_bits())).collect();
    assert_eq!(decoded, expected);
});
