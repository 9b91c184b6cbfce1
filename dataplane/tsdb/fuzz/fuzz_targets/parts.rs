//! The parts on their own. The first byte chooses; where a part ends in a checksum the fuzzer cannot
//! guess, the right one is put there.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::TimeRange;
use tsdb::index::{PostingsTable, SeriesEntry, Symbols, Toc, Version, decode_series};
use tsdb::meta::BlockMeta;
use tsdb::postings::{Postings, decode_postings};
use tsdb::segment::decode_chunk;
use tsdb::tombstones::Tombstones;

fuzz_target!(|data: &[u8]| {
    let Some((&part, data)) = data.split_first() else { return };
    let version = if part & 0x80 == 0 { Version::V2 } else { Version::V1 };
    match part & 0x7f {
        0 => drop(Toc::decode(data)),
        1 => {
            if let Ok(symbols) = Symbols::decode(framed(data), version, 5) {
                for symbol in symbols.iter() {
                    let _ = symbols.find(symbol);
                }
            }
        }
        2 => {
            if let Ok(table) = PostingsTable::decode(framed(data), version, 1 << 20) {
                for name in table.label_names() {
                    for (value, _) in table.values(name).take(100) {
                        let _ = table.range(name, value);
                    }
                }
            }
        }
        3 => {
            if let Ok(mut postings) = decode_postings(&framed(data)) {
                postings.seek(7);
                postings.collect_all();
            }
        }
        4 => {
            let mut entry = Vec::new();
            chunk_length(data.len(), &mut entry);
            entry.extend_from_slice(data);
            entry.extend_from_slice(&crc32c::crc32c(data).to_be_bytes());
            let _ = decode_series(&entry, TimeRange::ALL, &mut SeriesEntry::default());
        }
        5 => drop(decode_chunk(data)),
        6 => {
            if let Ok(meta) = BlockMeta::decode(data) {
                assert_eq!(BlockMeta::decode(&meta.encode()), Ok(meta));
            }
        }
        _ => {
            let mut file = vec![0x01, 0x30, 0xba, 0x30, 1];
            file.extend_from_slice(data);
            file.extend_from_slice(&crc32c::crc32c(data).to_be_bytes());
            if let Ok(tombstones) = Tombstones::decode(&file) {
                assert_eq!(Tombstones::decode(&tombstones.encode()), Ok(tombstones));
            }
        }
    }
});

/// Length, content, checksum.
fn framed(content: &[u8]) -> Bytes {
    let mut frame = (content.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(content);
    frame.extend_from_slice(&crc32c::crc32c(content).to_be_bytes());
    Bytes::from(frame)
}

fn chunk_length(mut length: usize, out: &mut Vec<u8>) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}
