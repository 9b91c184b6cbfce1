//! The symbol table: each name and value of the index once, in order.
//!
//! ```text
//! u32 BE length, u32 BE count, count × (uvarint length, bytes), u32 BE CRC32-C
//! ```
//!
//! The bytes stay as they are; every 32nd symbol's place is held in memory.

use bytes::Bytes;

use super::Version;
use crate::Corrupt;
use crate::cursor::{Cursor, framed};

const PLACE: &str = "index symbols";

/// Of so many symbols one has its place in memory.
const SAMPLE_EVERY: usize = 32;

/// Bytes before the first symbol: the section's length and the count.
const FIRST_SYMBOL: usize = 8;

/// A symbol as series entries name it: its number, or in version 1 its offset in the index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolRef(pub u32);

/// A symbol table that was checked from end to end.
#[derive(Debug, Clone)]
pub struct Symbols {
    /// The section from its length on; what follows it is not touched.
    section: Bytes,
    version: Version,
    /// Where the section begins in the index file; only version 1 needs it.
    base: u64,
    count: usize,
    /// Places of every [`SAMPLE_EVERY`]th symbol in `section`.
    samples: Vec<u32>,
}

impl Symbols {
    /// Reads through the section, checks it, and remembers every 32nd symbol's place.
    ///
    /// `section` begins with the section's length and may go on behind it. `base` is where it begins
    /// in the index file ([`Toc::symbols`](super::Toc::symbols)), which version 1 references count from.
    ///
    /// # Errors
    /// A wrong checksum, a cut-off symbol, or one that is not UTF-8.
    pub fn decode(section: Bytes, version: Version, base: u64) -> Result<Self, Corrupt> {
        let content = framed(PLACE, &section)?;
        let end = content.len() + 4;
        let table = section.get(..end).unwrap_or_default();
        let mut cursor = Cursor::starting_at(PLACE, table, 4);
        let count = cursor.be32()? as usize;
        // A symbol takes a byte at least.
        if count > cursor.remaining() {
            return Err(cursor.corrupt("more symbols than bytes for them"));
        }
        let mut samples = Vec::with_capacity(count.div_ceil(SAMPLE_EVERY));
        for i in 0..count {
            if i % SAMPLE_EVERY == 0 {
                let place = u32::try_from(cursor.position())
                    .map_err(|_| cursor.corrupt("the table exceeds four gibibytes"))?;
                samples.push(place);
            }
            cursor.uvarint_str()?;
        }
        Ok(Self {
            section: section.slice(..end),
            version,
            base,
            count,
            samples,
        })
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes this holds in memory beside the section itself.
    pub fn sampled_bytes(&self) -> usize {
        self.samples.len() * size_of::<u32>()
    }

    /// Returns the symbol that a series entry names.
    ///
    /// # Errors
    /// There is no such symbol.
    pub fn get(&self, reference: SymbolRef) -> Result<&str, Corrupt> {
        let unknown = || Corrupt::new(PLACE, format!("there is no symbol {}", reference.0));
        let mut cursor;
        match self.version {
            Version::V1 => {
                let place = u64::from(reference.0)
                    .checked_sub(self.base)
                    .and_then(|place| usize::try_from(place).ok())
                    .filter(|&place| place >= FIRST_SYMBOL && place < self.section.len())
                    .ok_or_else(unknown)?;
                cursor = Cursor::starting_at(PLACE, &self.section, place);
            }
            Version::V2 => {
                let number = reference.0 as usize;
                if number >= self.count {
                    return Err(unknown());
                }
                let place = self
                    .samples
                    .get(number / SAMPLE_EVERY)
                    .ok_or_else(unknown)?;
                cursor = Cursor::starting_at(PLACE, &self.section, *place as usize);
                for _ in 0..number % SAMPLE_EVERY {
                    cursor.uvarint_bytes()?;
                }
            }
        }
        cursor.uvarint_str()
    }

    /// Returns how series entries name `symbol`, or `None` where it does not occur.
    pub fn find(&self, symbol: &str) -> Option<SymbolRef> {
        let after = self.samples.partition_point(|&place| {
            Cursor::starting_at(PLACE, &self.section, place as usize)
                .uvarint_bytes()
                .is_ok_and(|sample| sample <= symbol.as_bytes())
        });
        let sample = after.checked_sub(1)?;
        let mut cursor =
            Cursor::starting_at(PLACE, &self.section, *self.samples.get(sample)? as usize);
        let first = sample * SAMPLE_EVERY;
        for number in first..(first + SAMPLE_EVERY).min(self.count) {
            let place = cursor.position();
            let found = cursor.uvarint_bytes().ok()?;
            if found == symbol.as_bytes() {
                let reference = match self.version {
                    Version::V1 => self.base.checked_add(place as u64)?,
                    Version::V2 => number as u64,
                };
                return u32::try_from(reference).ok().map(SymbolRef);
            }
            if found > symbol.as_bytes() {
                return None;
            }
        }
        None
    }

    /// Returns all symbols, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + '_ {
        let mut cursor = Cursor::starting_at(PLACE, &self.section, FIRST_SYMBOL);
        (0..self.count).map_while(move |_| cursor.uvarint_str().ok())
    }
}
