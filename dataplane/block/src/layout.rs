//! The names of a block's objects.
//!
//! ```text
//! <ULID>/meta.json             written last, removed first
//! <ULID>/index
//! <ULID>/chunks/000001 …
//! <ULID>/deletion-mark.json    and the other marks, removed last
//! ```

use model::ulid::BlockId;
pub use tsdb::block::INDEX_FILE_NAME as INDEX;
pub use tsdb::meta::FILE_NAME as META;

/// The folder of segment files.
pub const CHUNKS: &str = "chunks";

/// Returns the object of a block's file.
pub fn object(block: BlockId, file: &str) -> String {
    format!("{block}/{file}")
}

/// Splits an object's name into its block and the file in it; `None` where it is no block's object.
pub fn parse(name: &str) -> Option<(BlockId, &str)> {
    let (folder, file) = name.split_once('/')?;
    Some((folder.parse().ok()?, file)).filter(|(_, file)| !file.is_empty())
}

/// Returns the number, counted from 0, of a segment file `chunks/000001`; `None` for any other file.
pub fn segment_number(file: &str) -> Option<u32> {
    let digits = file.strip_prefix("chunks/")?;
    let number = digits.parse::<u32>().ok()?.checked_sub(1)?;
    // One spelling only, as the index refers to the files by number.
    (tsdb::segment::segment_name(number) == file).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_objects_are_parsed() {
        let block = BlockId::from_parts(1_700_000_000_000, 7);
        let name = object(block, META);
        assert_eq!(parse(&name), Some((block, META)));
        let parsed = parse("debug/metas/01ARZ3NDEKTSV4RRFFQ69G5FAV.json");
        assert_eq!(parsed, None);
        for name in [
            "../x/meta.json",
            "meta.json",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV/",
            "x/y",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn segments_are_numbered_from_zero_and_spelled_once() {
        assert_eq!(segment_number("chunks/000001"), Some(0));
        assert_eq!(segment_number("chunks/000120"), Some(119));
        assert_eq!(segment_number("chunks/1000000"), Some(999_999));
        for file in [
            "chunks/000000",
            "chunks/1",
            "chunks/+00001",
            "chunks/0000001",
            "index",
        ] {
            assert_eq!(segment_number(file), None, "{file}");
        }
    }
}
