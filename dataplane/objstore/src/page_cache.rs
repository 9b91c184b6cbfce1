//! Ranges of files that the kernel holds in memory, read without leaving the calling thread.
//!
//! A file may make its reader wait, so async code hands reads to threads that may block. Where the bytes
//! are in the page cache already the way there and back costs many times the read itself; the kernel is
//! asked to read only if it can do so at once, and whoever gets nothing takes the long way.

use std::io::IoSliceMut;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::{ReadWriteFlags, preadv2};

/// Copying more would keep the thread from its other work for too long.
const MAX_BYTES: u64 = 4 << 20;

/// A folder whose files are read at once or not at all.
#[derive(Debug)]
pub(crate) struct CachedFolder {
    folder: OwnedFd,
}

impl CachedFolder {
    /// Opens the folder.
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(rustix::fs::CWD, folder, flags, Mode::empty())?;
        Ok(Self { folder })
    }

    /// Returns `range` of a file, shorter only where the file ends. `None` says nothing about the file:
    /// it may be absent, not in memory, or on a file system or kernel that cannot tell.
    pub(crate) fn range(&self, name: &str, range: &Range<u64>) -> Option<Bytes> {
        if range.end.checked_sub(range.start)? > MAX_BYTES {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat2(
            &self.folder,
            name,
            flags,
            Mode::empty(),
            ResolveFlags::CACHED,
        )
        .ok()?;
        let stat = fstat(&file).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let size = u64::try_from(stat.st_size).ok()?;
        let wanted = range.end.min(size).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(wanted).ok()?];
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut [IoSliceMut::new(&mut bytes[filled..])];
            let at = range.start + filled as u64;
            match preadv2(&file, rest, at, ReadWriteFlags::NOWAIT) {
                Ok(0) | Err(_) => return None,
                Ok(read) => filled += read,
            }
        }
        Some(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_whole_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("sub")).expect("creates");
        let path = folder.path().join("sub/file");
        std::fs::write(&path, b"0123456789").expect("writes");
        let cached = CachedFolder::open(folder.path()).expect("opens");
        // Just written and looked up: in memory, where the file system can say so at all.
        std::fs::read(&path).expect("reads");
        for (range, expected) in [
            (2..5, "234"),
            (8..20, "89"),
            (10..12, ""),
            (90..99, ""),
            (0..10, "0123456789"),
        ] {
            if let Some(bytes) = cached.range("sub/file", &range) {
                assert_eq!(bytes, expected, "{range:?}");
            }
        }
        assert_eq!(cached.range("sub/absent", &(0..1)), None);
        assert_eq!(cached.range("sub", &(0..1)), None);
        assert_eq!(cached.range("sub/file", &(0..u64::MAX)), None);
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
        let backwards = 5..2;
        assert_eq!(cached.range("sub/file", &backwards), None);
    }

    #[test]
    fn a_file_that_was_replaced_is_the_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"old").expect("writes");
        let cached = CachedFolder::open(folder.path()).expect("opens");
        assert!(
            cached
                .range("file", &(0..3))
                .is_none_or(|bytes| bytes == "old")
        );
        let next = folder.path().join("next");
        std::fs::write(&next, b"new").expect("writes");
        std::fs::rename(&next, &path).expect("renames");
        assert!(
            cached
                .range("file", &(0..3))
                .is_none_or(|bytes| bytes == "new")
        );
        std::fs::remove_file(&path).expect("removes");
        assert_eq!(cached.range("file", &(0..3)), None);
    }
}
