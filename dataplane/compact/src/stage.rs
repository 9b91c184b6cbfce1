//! A new block on its way into the bucket.
//!
//! Its index grows on disk, its segments are sent as they fill and then removed, so that of a block of
//! any size the index and a few segments lie on disk. `meta.json` is sent last, after everything sent
//! was looked at in the bucket and the index was read again; until then no reader knows of the block,
//! and what a broken run leaves behind is a partial upload that cleaning removes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use block::{BlockId, layout};
use bytes::Bytes;
use objstore::{Bucket, Content};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tsdb::block::{StreamWriter, StreamedBlock};
use tsdb::index::{Reader, SeriesEntry};
use tsdb::meta::{BlockFile, BlockMeta};
use tsdb::segment::{DEFAULT_SEGMENT_BYTES, segment_name};

use crate::error::CompactError;
use crate::lease::Guard;

/// Segments that wait to be sent while the next one is written. More would only take disk.
const WAITING_SEGMENTS: usize = 1;

const INDEX_BUFFER_BYTES: usize = 1 << 20;

/// What the segments of a stage are written through.
pub type SegmentSink = Box<dyn FnMut(u32, &[u8]) -> io::Result<()> + Send>;

/// The writer of a staged block.
pub type StageWriter = StreamWriter<BufWriter<File>, SegmentSink>;

/// What the writer of a staged block gives in the end.
pub type StagedBlock = StreamedBlock<BufWriter<File>>;

/// A file that was sent, and its size.
type Sent = (String, u64);

/// A block being made.
#[derive(Debug)]
pub struct Stage {
    bucket: Arc<dyn Bucket>,
    block: BlockId,
    folder: PathBuf,
    sender: JoinHandle<Result<Vec<Sent>, CompactError>>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.sender.abort();
        // What is left takes disk until the next start at most.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    /// Begins a block in a folder of its own within `data_dir`.
    ///
    /// # Errors
    /// The folder or the index cannot be created.
    pub fn begin(
        bucket: Arc<dyn Bucket>,
        block: BlockId,
        data_dir: &Path,
    ) -> Result<(Self, StageWriter), CompactError> {
        let folder = data_dir.join(block.to_string());
        let chunks = folder.join(layout::CHUNKS);
        std::fs::create_dir_all(&chunks).map_err(CompactError::io(&chunks))?;
        let path = folder.join(layout::INDEX);
        let index = File::create(&path).map_err(CompactError::io(&path))?;
        let (full, filled) = mpsc::channel(WAITING_SEGMENTS);
        let sender = tokio::spawn(send_segments(
            Arc::clone(&bucket),
            block,
            folder.clone(),
            filled,
        ));
        let mut segments = SegmentFiles {
            folder: folder.clone(),
            current: None,
            full,
        };
        let sink: SegmentSink = Box::new(move |segment, bytes| segments.write(segment, bytes));
        let index = BufWriter::with_capacity(INDEX_BUFFER_BYTES, index);
        let writer = StreamWriter::new(index, DEFAULT_SEGMENT_BYTES, sink);
        let stage = Self {
            bucket,
            block,
            folder,
            sender,
        };
        Ok((stage, writer))
    }

    /// Why writing failed, if it was because sending did.
    pub async fn failure(mut self) -> Option<CompactError> {
        if !self.sender.is_finished() {
            return None;
        }
        match (&mut self.sender).await {
            Ok(Err(error)) => Some(error),
            _ => None,
        }
    }

    /// Sends the rest, looks at all of it, and then publishes the block with `meta`, to which the
    /// files are added, while `guard` holds.
    ///
    /// # Errors
    /// The bucket fails, what is there is not what was sent, or the lease is lost.
    pub async fn publish(
        mut self,
        staged: StagedBlock,
        mut meta: BlockMeta,
        guard: &Guard,
    ) -> Result<BlockMeta, CompactError> {
        let mut sent = (&mut self.sender)
            .await
            .map_err(|error| CompactError::Task(error.to_string()))??;
        let path = self.folder.join(layout::INDEX);
        self.verify_index(&path, &staged, &sent)?;
        let object = layout::object(self.block, layout::INDEX);
        self.bucket
            .upload(&object, Content::File(path.clone()))
            .await?;
        sent.push((layout::INDEX.to_owned(), staged.index.length));
        sent.sort_unstable();
        for (file, size) in &sent {
            let there = self
                .bucket
                .attributes(&layout::object(self.block, file))
                .await?;
            if there.size != *size {
                let what = format!("{file} has {} bytes instead of {size}", there.size);
                return Err(self.unsound(what));
            }
        }
        if let Some(thanos) = &mut meta.thanos {
            thanos.segment_files = sent
                .iter()
                .filter_map(|(file, _)| file.strip_prefix("chunks/").map(str::to_owned))
                .collect();
            let own = (layout::META.to_owned(), 0);
            thanos.files = sent
                .iter()
                .chain([&own])
                .map(|(file, size)| BlockFile {
                    rel_path: file.clone(),
                    size_bytes: *size,
                    hash: None,
                    unknown: serde_json::Map::new(),
                })
                .collect();
        }
        let encoded = Bytes::from(meta.encode());
        let object = layout::object(self.block, layout::META);
        guard
            .during(self.bucket.upload(&object, encoded.clone().into()))
            .await?;
        if self.bucket.get(&object).await? != encoded {
            return Err(self.unsound("its meta.json is not the one written".to_owned()));
        }
        Ok(meta)
    }

    /// Reads the whole index once: every series, and that every chunk lies in a segment.
    fn verify_index(
        &self,
        path: &Path,
        staged: &StagedBlock,
        sent: &[Sent],
    ) -> Result<(), CompactError> {
        let index = open_index(path)?;
        let segments: Vec<u64> = sent.iter().map(|(_, size)| *size).collect();
        let unsound = |corrupt: tsdb::Corrupt| self.unsound(corrupt.to_string());
        let index = Reader::decode(index).map_err(unsound)?;
        let (mut n_series, mut n_chunks) = (0, 0);
        let mut entry = SeriesEntry::default();
        for series in index.all_series().map_err(unsound)? {
            index
                .series(series, model::TimeRange::ALL, &mut entry)
                .map_err(unsound)?;
            n_series += 1;
            n_chunks += entry.chunks.len() as u64;
            for chunk in &entry.chunks {
                let segment = segments.get(chunk.reference.segment() as usize);
                if segment.is_none_or(|size| u64::from(chunk.reference.offset()) >= *size) {
                    return Err(self.unsound("a chunk lies behind its segment's end".to_owned()));
                }
            }
        }
        let (wanted_series, wanted_chunks) = (staged.stats.num_series, staged.stats.num_chunks);
        if (n_series, n_chunks) != (wanted_series, wanted_chunks) {
            let what = format!(
                "the index has {n_series} series and {n_chunks} chunks, written were \
                 {wanted_series} and {wanted_chunks}"
            );
            return Err(self.unsound(what));
        }
        Ok(())
    }

    fn unsound(&self, what: String) -> CompactError {
        CompactError::Verify {
            block: self.block,
            what,
        }
    }
}

/// Maps a file that nobody changes any more.
pub(crate) fn open_index(path: &Path) -> Result<Bytes, CompactError> {
    let file = File::open(path).map_err(CompactError::io(path))?;
    #[expect(
        unsafe_code,
        reason = "the file lies in a folder of this process and was written to its end"
    )]
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(CompactError::io(path))?;
    Ok(Bytes::from_owner(map))
}

/// Writes segments to files and hands over each when the next begins.
#[derive(Debug)]
struct SegmentFiles {
    folder: PathBuf,
    current: Option<(u32, File, u64)>,
    full: mpsc::Sender<Sent>,
}

impl SegmentFiles {
    fn write(&mut self, segment: u32, bytes: &[u8]) -> io::Result<()> {
        if self
            .current
            .as_ref()
            .is_none_or(|(number, _, _)| *number != segment)
        {
            self.hand_over()?;
            let file = File::create(self.folder.join(segment_name(segment)))?;
            self.current = Some((segment, file, 0));
        }
        if let Some((_, file, size)) = &mut self.current {
            file.write_all(bytes)?;
            *size += bytes.len() as u64;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if let Some((segment, file, size)) = self.current.take() {
            drop(file);
            self.full
                .blocking_send((segment_name(segment), size))
                .map_err(|_| io::Error::other("the segment before could not be sent"))?;
        }
        Ok(())
    }
}

impl Drop for SegmentFiles {
    /// The writer is dropped when the block is complete, which completes the last segment. Where it
    /// is dropped before, the stage is too, and what was sent is removed as a partial upload.
    fn drop(&mut self) {
        let _ = self.hand_over();
    }
}

async fn send_segments(
    bucket: Arc<dyn Bucket>,
    block: BlockId,
    folder: PathBuf,
    mut filled: mpsc::Receiver<Sent>,
) -> Result<Vec<Sent>, CompactError> {
    let mut sent = Vec::new();
    while let Some((file, size)) = filled.recv().await {
        let path = folder.join(&file);
        let object = layout::object(block, &file);
        bucket.upload(&object, Content::File(path.clone())).await?;
        tokio::fs::remove_file(&path)
            .await
            .map_err(CompactError::io(&path))?;
        sent.push((file, size));
    }
    Ok(sent)
}
