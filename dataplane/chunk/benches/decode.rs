//! Prints nanoseconds per sample of decoding XOR chunks, one line a class of values.
//!
//! `cargo bench -p chunk --bench decode` runs the built-in classes; with the path of a file it runs
//! over the chunks in that file instead, as `gopeer decode-bench --export` writes it: each a four-byte
//! big-endian length and the chunk's bytes.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark is for")]

use std::hint::black_box;
use std::time::Instant;

use chunk::{Columns, XorAppender, decode_xor};

const SAMPLES_PER_CHUNK: usize = 120;
const CHUNKS_PER_CLASS: usize = 2_000;
const CHUNKS_PER_PIECE: usize = 256;
const ROUNDS: usize = 15;

fn main() {
    let files: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    if files.is_empty() {
        for (name, series) in CLASSES {
            let mut random = Random(42);
            let chunks: Vec<Vec<u8>> = (0..CHUNKS_PER_CLASS)
                .map(|_| encode(series, &mut random))
                .collect();
            report(name, &chunks);
        }
    }
    for file in files {
        let bytes = std::fs::read(&file).expect("the file of chunks is readable");
        report(&file, &split(&bytes));
    }
}

type Series = fn(usize, &mut State, &mut Random) -> (i64, f64);

const CLASSES: [(&str, Series); 8] = [
    ("constant", |i, _, _| (regular(i), 1.0)),
    ("idle counter", |i, state, random| {
        state.value += f64::from(u8::from(random.below(20) == 0));
        (regular(i), state.value)
    }),
    ("busy counter", |i, state, random| {
        state.value += random.below(1_000) as f64;
        (regular(i), state.value)
    }),
    ("busy counter, jitter", |i, state, random| {
        state.value += random.below(1_000) as f64;
        (regular(i) + random.below(4) as i64, state.value)
    }),
    ("classic bucket", |i, state, random| {
        state.value += random.below(8) as f64;
        (regular(i), state.value)
    }),
    ("decimal gauge", |i, state, random| {
        state.value += (random.below(200) as f64 - 100.0) / 100.0;
        (regular(i), (state.value * 100.0).round() / 100.0)
    }),
    ("random double", |i, _, random| (regular(i), random.unit())),
    ("random double, jitter", |i, _, random| {
        (regular(i) + random.below(4) as i64, random.unit())
    }),
];

struct State {
    value: f64,
}

fn regular(i: usize) -> i64 {
    1_700_000_000_000 + 15_000 * i as i64
}

fn encode(series: Series, random: &mut Random) -> Vec<u8> {
    let mut state = State {
        value: random.below(100_000) as f64,
    };
    let mut appender = XorAppender::new();
    for i in 0..SAMPLES_PER_CHUNK {
        let (t, value) = series(i, &mut state, random);
        appender.append(t, value);
    }
    appender.finish()
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (chunk, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        chunks.push(chunk.to_vec());
        bytes = rest;
    }
    chunks
}

fn report(name: &str, chunks: &[Vec<u8>]) {
    let bytes: usize = chunks.iter().map(Vec::len).sum();
    let mut columns = Columns::new();
    let mut seconds = 0.0;
    let mut samples = 0;
    // The fastest round of each piece counts, so that what else the machine does is left out.
    for piece in chunks.chunks(CHUNKS_PER_PIECE) {
        let mut best = f64::INFINITY;
        let mut decoded = 0;
        for _ in 0..ROUNDS {
            decoded = 0;
            let round = Instant::now();
            for chunk in piece {
                columns.clear();
                decode_xor(black_box(chunk), &mut columns).expect("the chunk is sound");
                decoded += black_box(&columns).len();
            }
            best = best.min(round.elapsed().as_secs_f64());
        }
        seconds += best;
        samples += decoded;
    }
    println!(
        "{name:<24} {:>7.2} ns/sample   {:>6.2} bytes/sample   {samples} samples",
        seconds * 1e9 / samples as f64,
        bytes as f64 / samples as f64,
    );
}

/// SplitMix64: seeded, so that every run measures the same chunks.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
