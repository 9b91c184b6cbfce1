//! Series into bytes; every tag of these messages is one byte.

use bytes::BufMut;
use model::Label;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::series::{Aggregate, Chunk, Payload, Series};

/// Bytes of the key of any field here.
const KEY: usize = 1;

/// Field number of [`Aggregate::Raw`] in `AggrChunk`; the others follow.
const FIRST_PAYLOAD: u32 = 3;

/// Returns the bytes of a length-delimited field: key, length, content.
fn delimited(len: usize) -> usize {
    KEY + encoded_len_varint(len as u64) + len
}

fn delimited_key(tag: u32, len: usize, buf: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, buf);
    encode_varint(len as u64, buf);
}

fn varint_field_len(value: u64) -> usize {
    if value == 0 {
        0
    } else {
        KEY + encoded_len_varint(value)
    }
}

fn varint_field(tag: u32, value: u64, buf: &mut impl BufMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, buf);
        encode_varint(value, buf);
    }
}

pub(super) fn batch_field_len(batch: &[Series]) -> usize {
    delimited(batch.iter().map(series_field_len).sum())
}

pub(super) fn batch_field(tag: u32, batch: &[Series], buf: &mut impl BufMut) {
    delimited_key(tag, batch.iter().map(series_field_len).sum(), buf);
    for series in batch {
        series_field(1, series, buf);
    }
}

pub(super) fn series_field_len(series: &Series) -> usize {
    delimited(series_len(series))
}

fn series_len(series: &Series) -> usize {
    let labels: usize = series
        .labels
        .iter()
        .map(|label| delimited(label_len(label)))
        .sum();
    let chunks: usize = series
        .chunks
        .iter()
        .map(|chunk| delimited(chunk_len(chunk)))
        .sum();
    labels + chunks
}

pub(super) fn series_field(tag: u32, series: &Series, buf: &mut impl BufMut) {
    delimited_key(tag, series_len(series), buf);
    for label in series.labels.iter() {
        delimited_key(1, label_len(label), buf);
        bytes_field(1, label.name.as_bytes(), buf);
        bytes_field(2, label.value.as_bytes(), buf);
    }
    for chunk in &series.chunks {
        delimited_key(2, chunk_len(chunk), buf);
        varint_field(1, chunk.min_time.cast_unsigned(), buf);
        varint_field(2, chunk.max_time.cast_unsigned(), buf);
        for (tag, payload) in payloads(chunk) {
            delimited_key(tag, payload_len(payload), buf);
            varint_field(1, type_number(payload), buf);
            bytes_field(2, &payload.data, buf);
        }
    }
}

fn label_len(label: Label<'_>) -> usize {
    bytes_field_len(label.name.as_bytes()) + bytes_field_len(label.value.as_bytes())
}

fn bytes_field_len(bytes: &[u8]) -> usize {
    if bytes.is_empty() {
        0
    } else {
        delimited(bytes.len())
    }
}

fn bytes_field(tag: u32, bytes: &[u8], buf: &mut impl BufMut) {
    if !bytes.is_empty() {
        delimited_key(tag, bytes.len(), buf);
        buf.put_slice(bytes);
    }
}

fn payloads(chunk: &Chunk) -> impl Iterator<Item = (u32, &Payload)> {
    let wanted = if chunk.aggregates.is_some() {
        Aggregate::ALL.len()
    } else {
        1
    };
    Aggregate::ALL
        .into_iter()
        .take(wanted)
        .zip(FIRST_PAYLOAD..)
        .filter_map(|(aggregate, tag)| Some((tag, chunk.payload(aggregate)?)))
}

fn chunk_len(chunk: &Chunk) -> usize {
    let times = varint_field_len(chunk.min_time.cast_unsigned())
        + varint_field_len(chunk.max_time.cast_unsigned());
    times
        + payloads(chunk)
            .map(|(_, payload)| delimited(payload_len(payload)))
            .sum::<usize>()
}

fn payload_len(payload: &Payload) -> usize {
    varint_field_len(type_number(payload)) + bytes_field_len(&payload.data)
}

/// The wire numbers encodings from zero, the TSDB from one.
fn type_number(payload: &Payload) -> u64 {
    u64::from((payload.encoding as u8).saturating_sub(1))
}
