//! A writer of ustar archives whose bytes depend on nothing but what is put in.

use std::io::{self, Read, Write};

use anyhow::{Result, ensure};

const BLOCK: usize = 512;

/// The longest name an entry may have; the prefix field is not used.
const NAME_MAX: usize = 100;

/// The greatest size that eleven octal digits say.
const SIZE_MAX: u64 = 0o777_7777_7777;

/// Entries are written in the order of the calls; owner is root and the time is the epoch's start.
pub(super) struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }

    /// A folder; `name` without a slash at its end.
    pub(super) fn dir(&mut self, name: &str, mode: u32) -> Result<()> {
        self.out
            .write_all(&header(&format!("{name}/"), mode, 0, b'5', "")?)?;
        Ok(())
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, name: &str, target: &str) -> Result<()> {
        self.out.write_all(&header(name, 0o777, 0, b'2', target)?)?;
        Ok(())
    }

    /// A file of exactly `size` bytes read from `content`.
    pub(super) fn file(
        &mut self,
        name: &str,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> Result<()> {
        self.out.write_all(&header(name, mode, size, b'0', "")?)?;
        let written = io::copy(&mut content.take(size), &mut self.out)?;
        ensure!(
            written == size,
            "{name} has {written} bytes where {size} were said"
        );
        let rest = usize::try_from(size % BLOCK as u64)?;
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }

    /// Ends the archive and gives the output back.
    pub(super) fn finish(mut self) -> Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn header(name: &str, mode: u32, size: u64, kind: u8, target: &str) -> Result<[u8; BLOCK]> {
    for name in [name, target] {
        let fits = name.len() <= NAME_MAX;
        ensure!(
            fits,
            "\"{name}\" is longer than the {NAME_MAX} bytes of an entry"
        );
    }
    ensure!(size <= SIZE_MAX, "{name} is too large for an entry");
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    // The sum is taken with its own field full of spaces.
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let mut writer = Writer::new(Vec::new());
        writer.dir("etc", 0o755).expect("folder");
        writer
            .file("etc/motd", 0o640, 6, &b"hello\n"[..])
            .expect("file");
        writer
            .file("blob", 0o755, 1000, &[7; 1000][..])
            .expect("file");
        writer.link("link", "etc/motd").expect("link");
        let archive = dir.path().join("a.tar");
        std::fs::write(&archive, writer.finish().expect("finish")).expect("write");
        let listing = crate::process::run(
            "tar",
            &[
                "--utc",
                "--numeric-owner",
                "-tvf",
                archive.to_str().expect("UTF-8"),
            ],
        );
        let listing = listing.expect("tar reads it");
        let lines: Vec<Vec<&str>> = listing
            .lines()
            .map(|line| line.split_ascii_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["drwxr-xr-x", "0/0", "0", "1970-01-01", "00:00", "etc/"],
                vec!["-rw-r-----", "0/0", "6", "1970-01-01", "00:00", "etc/motd"],
                vec!["-rwxr-xr-x", "0/0", "1000", "1970-01-01", "00:00", "blob"],
                vec![
                    "lrwxrwxrwx",
                    "0/0",
                    "0",
                    "1970-01-01",
                    "00:00",
                    "link",
                    "->",
                    "etc/motd",
                ],
            ]
        );
    }

    #[test]
    fn a_file_shorter_than_said_is_refused() {
        let mut writer = Writer::new(Vec::new());
        let error = writer
            .file("f", 0o644, 9, &b"short"[..])
            .expect_err("refused");
        assert!(error.to_string().contains("5 bytes where 9"), "{error}");
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let mut writer = Writer::new(Vec::new());
        assert!(writer.dir(&"x".repeat(100), 0o755).is_err());
    }
}
