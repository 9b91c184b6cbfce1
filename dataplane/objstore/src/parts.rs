//! Large objects, piece by piece.

use std::io;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{MultipartUpload, PutPayload};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Parts that S3 allows in one upload.
pub(crate) const MAX_PARTS: u64 = 10_000;

pub(crate) async fn send_parts(
    upload: &mut dyn MultipartUpload,
    first: PutPayload,
    source: &mut (dyn AsyncRead + Send + Unpin),
    part_bytes: u64,
) -> Result<(), object_store::Error> {
    let mut part = first;
    loop {
        let len = payload_len(&part);
        if len == 0 {
            return Ok(());
        }
        upload.put_part(part).await?;
        if len < part_bytes {
            return Ok(());
        }
        part = read_part(source, part_bytes).await?;
    }
}

pub(crate) fn payload_len(payload: &PutPayload) -> u64 {
    payload.content_length() as u64
}

/// Reads up to `limit` bytes in pieces, so that a part is never copied to grow.
pub(crate) async fn read_part(
    source: &mut (dyn AsyncRead + Send + Unpin),
    limit: u64,
) -> Result<PutPayload, object_store::Error> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut left = limit;
    while left > 0 {
        let want = left.min(PIECE_BYTES);
        let mut piece = Vec::new();
        let read = (&mut *source)
            .take(want)
            .read_to_end(&mut piece)
            .await
            .map_err(|error| object_store::Error::Generic {
                store: "local file",
                source: Box::new(error),
            })?;
        left -= read as u64;
        if read > 0 {
            pieces.push(piece.into());
        }
        if (read as u64) < want {
            break;
        }
    }
    Ok(pieces.into_iter().collect())
}

/// Reads a stream of pieces as one.
pub(crate) struct StreamReader {
    stream: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
}

impl StreamReader {
    pub(crate) fn new(stream: BoxStream<'static, io::Result<Bytes>>) -> Self {
        Self {
            stream,
            piece: Bytes::new(),
        }
    }
}

impl AsyncRead for StreamReader {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        use std::task::{Poll, ready};
        while self.piece.is_empty() {
            match ready!(self.stream.poll_next_unpin(context)) {
                None => return Poll::Ready(Ok(())),
                Some(piece) => self.piece = piece?,
            }
        }
        let len = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece.split_to(len));
        Poll::Ready(Ok(()))
    }
}
