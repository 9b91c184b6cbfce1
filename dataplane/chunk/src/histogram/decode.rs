//! Decoding a whole chunk at once.

use super::columns::{Buckets, Row};
use super::{CounterResetHeader, HistogramColumns, Layout};
use crate::bits::BitReader;
use crate::varbit::{read_varbit_int, read_varbit_uint};
use crate::xor::Window;
use crate::xor2::StartTimestamps;
use crate::{Corrupt, Encoding, sample_count};

/// Bytes before the layout.
pub(super) const HEADER_BYTES: usize = 3;

/// A histogram after the first takes at least a bit for each of time, count, zero count and sum.
const MIN_BITS_PER_SAMPLE: usize = 4;

/// Decodes a histogram chunk of any of the four kinds into `columns`, replacing what they held. Start
/// timestamps are read and left out.
///
/// # Errors
/// The data is no such chunk or shorter than its samples; `columns` are empty then.
pub fn decode_histograms(
    encoding: Encoding,
    data: &[u8],
    columns: &mut HistogramColumns,
) -> Result<(), Corrupt> {
    columns.rows.clear();
    let decoded = decode(encoding, data, columns);
    if decoded.is_err() {
        columns.rows.clear();
    }
    decoded
}

fn decode(encoding: Encoding, data: &[u8], columns: &mut HistogramColumns) -> Result<(), Corrupt> {
    let n = usize::from(sample_count(encoding, data)?);
    let Some((&[first, _, third], body)) = data.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Corrupt::new("shorter than its header", data.len()));
    };
    let (is_float, header, starts) = match encoding {
        Encoding::Histogram => (false, third, StartTimestamps::NONE),
        Encoding::FloatHistogram => (true, third, StartTimestamps::NONE),
        Encoding::HistogramSt => (false, first, StartTimestamps::new(third)),
        Encoding::FloatHistogramSt => (true, first, StartTimestamps::new(third)),
        _ => return Err(Corrupt::new("the encoding is not one of histograms", 0)),
    };
    columns.header = CounterResetHeader::from_byte(header);
    if n == 0 {
        return Ok(());
    }
    let mut reader = BitReader::new(body);
    if n > reader.remaining() / MIN_BITS_PER_SAMPLE + 1 {
        return Err(Corrupt::new("more samples than bits for them", 0));
    }
    columns.layout = Layout::read(&mut reader)
        .map_err(|what| Corrupt::new(what, HEADER_BYTES + reader.position() / 8))?;
    let n_buckets = columns.layout.positive_len() + columns.layout.negative_len();
    if is_float {
        let buckets = match &mut columns.buckets {
            Buckets::Float(buckets) => std::mem::take(buckets),
            Buckets::Int(_) => Vec::new(),
        };
        let mut decoder = FloatDecoder::new(n_buckets, buckets);
        decode_rows(&mut reader, n, starts, &mut columns.rows, &mut decoder)?;
        columns.buckets = Buckets::Float(decoder.out);
    } else {
        let buckets = match &mut columns.buckets {
            Buckets::Int(buckets) => std::mem::take(buckets),
            Buckets::Float(_) => Vec::new(),
        };
        let mut decoder = IntDecoder::new(n_buckets, buckets);
        decode_rows(&mut reader, n, starts, &mut columns.rows, &mut decoder)?;
        columns.buckets = Buckets::Int(decoder.out);
    }
    Ok(())
}

/// Reads no further than the first time.
pub(crate) fn first_timestamp(data: &[u8]) -> Result<i64, Corrupt> {
    let mut reader = BitReader::new(data.get(HEADER_BYTES..).unwrap_or_default());
    let at = |reader: &BitReader<'_>| HEADER_BYTES + reader.position() / 8;
    Layout::read(&mut reader).map_err(|what| Corrupt::new(what, at(&reader)))?;
    let t = read_varbit_int(&mut reader);
    if reader.is_overrun() {
        return Err(Corrupt::new("ends before its first sample", at(&reader)));
    }
    Ok(t)
}

/// Reads what is behind a row's time and keeps what the next one is measured against.
trait RowDecoder {
    fn first(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row;
    fn next(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row;
}

fn decode_rows(
    reader: &mut BitReader<'_>,
    n: usize,
    starts: StartTimestamps,
    rows: &mut Vec<Row>,
    decoder: &mut impl RowDecoder,
) -> Result<(), Corrupt> {
    let (mut t, mut delta) = (0i64, 0i64);
    for i in 0..n {
        let row = if i == 0 {
            t = read_varbit_int(reader);
            decoder.first(reader, t)
        } else {
            delta = delta.wrapping_add(read_varbit_int(reader));
            t = t.wrapping_add(delta);
            decoder.next(reader, t)
        };
        let at = HEADER_BYTES + reader.position() / 8;
        starts
            .skip(i, reader)
            .ok_or_else(|| Corrupt::new("a start timestamp is too large", at))?;
        // Each row: a cut-off chunk must not go on making rows of zeros.
        if reader.is_overrun() {
            return Err(Corrupt::new("ends before its last sample", at));
        }
        rows.push(row);
    }
    Ok(())
}

struct IntDecoder {
    count: u64,
    count_delta: i64,
    zero_count: u64,
    zero_count_delta: i64,
    sum: XorState,
    buckets: Vec<i64>,
    bucket_deltas: Vec<i64>,
    out: Vec<i64>,
}

impl IntDecoder {
    fn new(n_buckets: usize, mut out: Vec<i64>) -> Self {
        out.clear();
        Self {
            count: 0,
            count_delta: 0,
            zero_count: 0,
            zero_count_delta: 0,
            sum: XorState::default(),
            buckets: vec![0; n_buckets],
            bucket_deltas: vec![0; n_buckets],
            out,
        }
    }

    fn row(&mut self, t: i64) -> Row {
        Row {
            t,
            sum: f64::from_bits(self.sum.value),
            count: self.count,
            zero_count: self.zero_count,
            buckets_at: self.out.len(),
        }
    }
}

impl RowDecoder for IntDecoder {
    fn first(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row {
        self.count = read_varbit_uint(reader);
        self.zero_count = read_varbit_uint(reader);
        self.sum.value = reader.read(64);
        let row = self.row(t);
        for bucket in &mut self.buckets {
            *bucket = read_varbit_int(reader);
        }
        self.out.extend_from_slice(&self.buckets);
        row
    }

    fn next(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row {
        self.count_delta = self.count_delta.wrapping_add(read_varbit_int(reader));
        self.count = self.count.wrapping_add_signed(self.count_delta);
        self.zero_count_delta = self.zero_count_delta.wrapping_add(read_varbit_int(reader));
        self.zero_count = self.zero_count.wrapping_add_signed(self.zero_count_delta);
        self.sum.read(reader);
        let row = self.row(t);
        if !model::is_stale_nan(row.sum) {
            for (bucket, delta) in self.buckets.iter_mut().zip(&mut self.bucket_deltas) {
                *delta = delta.wrapping_add(read_varbit_int(reader));
                *bucket = bucket.wrapping_add(*delta);
            }
            self.out.extend_from_slice(&self.buckets);
        }
        row
    }
}

struct FloatDecoder {
    count: XorState,
    zero_count: XorState,
    sum: XorState,
    buckets: Vec<XorState>,
    out: Vec<f64>,
}

impl FloatDecoder {
    fn new(n_buckets: usize, mut out: Vec<f64>) -> Self {
        out.clear();
        Self {
            count: XorState::default(),
            zero_count: XorState::default(),
            sum: XorState::default(),
            buckets: vec![XorState::default(); n_buckets],
            out,
        }
    }

    fn row(&mut self, t: i64) -> Row {
        Row {
            t,
            sum: f64::from_bits(self.sum.value),
            count: self.count.value,
            zero_count: self.zero_count.value,
            buckets_at: self.out.len(),
        }
    }

    fn push_buckets(&mut self) {
        self.out.extend(
            self.buckets
                .iter()
                .map(|bucket| f64::from_bits(bucket.value)),
        );
    }
}

impl RowDecoder for FloatDecoder {
    fn first(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row {
        self.count.value = reader.read(64);
        self.zero_count.value = reader.read(64);
        self.sum.value = reader.read(64);
        let row = self.row(t);
        for bucket in &mut self.buckets {
            bucket.value = reader.read(64);
        }
        self.push_buckets();
        row
    }

    fn next(&mut self, reader: &mut BitReader<'_>, t: i64) -> Row {
        self.count.read(reader);
        self.zero_count.read(reader);
        self.sum.read(reader);
        let row = self.row(t);
        if !model::is_stale_nan(row.sum) {
            for bucket in &mut self.buckets {
                bucket.read(reader);
            }
            self.push_buckets();
        }
        row
    }
}

/// The last bits of a value and the window its changes are in.
#[derive(Debug, Clone, Copy)]
struct XorState {
    value: u64,
    window: Window,
}

impl Default for XorState {
    fn default() -> Self {
        Self {
            value: 0,
            window: Window::INITIAL,
        }
    }
}

impl XorState {
    /// Reads the next value. A window of more than 64 bits, which nothing writes, makes the reader
    /// overrun, so that the row is refused.
    #[inline]
    fn read(&mut self, reader: &mut BitReader<'_>) {
        let word = reader.peek();
        if word >> 63 == 0 {
            reader.skip(1);
            return;
        }
        if word >> 62 == 0b10 {
            reader.skip(2);
        } else {
            reader.skip(13);
            let Some(window) = Window::read(word << 2) else {
                reader.invalidate();
                return;
            };
            self.window = window;
        }
        self.value ^= reader.read(self.window.significant) << self.window.trailing;
    }
}
