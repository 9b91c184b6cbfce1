//! A whole index: whatever opens can be walked without a panic.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{Matcher, TimeRange};
use tsdb::index::{Reader, SeriesEntry, SeriesRef};
use tsdb::postings::Postings;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = Reader::decode(Bytes::copy_from_slice(data)) else { return };
    let mut entry = SeriesEntry::default();
    if let Ok(mut postings) = reader.postings("", "") {
        while let Some(reference) = postings.next() {
            if reader.series(SeriesRef(reference), TimeRange::ALL, &mut entry).is_ok() {
                let _ = reader.labels(&entry);
            }
        }
    }
    for name in reader.postings_table().label_names() {
        for (value, _) in reader.postings_table().values(name).take(100) {
            let _ = reader.select(&[Matcher::equal(name, value)]);
        }
    }
});
