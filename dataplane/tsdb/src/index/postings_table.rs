//! The postings offset table: for each label pair, where its postings list is.
//!
//! ```text
//! u32 BE length, u32 BE count, u32 BE CRC32-C behind
//! count × (uvarint 2, uvarint-length name, uvarint-length value, uvarint offset in the index file)
//! ```
//!
//! The bytes stay as they are. Of each name the first, the last and every 32nd value have their place
//! in memory; a list's end is where the next one begins. Version 1 does not promise an order, so
//! there all pairs are held.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use bytes::Bytes;

use super::Version;
use crate::Corrupt;
use crate::cursor::{Cursor, framed};

const PLACE: &str = "index postings table";

/// Of so many values of a name one has its place in memory.
const SAMPLE_EVERY: usize = 32;

/// Bytes before the first entry: the section's length and the count.
const FIRST_ENTRY: usize = 8;

/// Name and value under which the list of all series stands.
pub const ALL_POSTINGS: (&str, &str) = ("", "");

/// A postings offset table that was checked from end to end.
#[derive(Debug, Clone)]
pub struct PostingsTable {
    section: Bytes,
    /// Where the last list ends.
    postings_end: u64,
    names: Names,
}

/// Values of a name, each with where its list lies.
pub type ValuesIter<'a> = Box<dyn Iterator<Item = (&'a str, Range<u64>)> + Send + 'a>;

/// Each name's values with where their lists lie.
type FullNames = BTreeMap<Box<str>, BTreeMap<Box<str>, Range<u64>>>;

#[derive(Debug, Clone)]
enum Names {
    Sampled(BTreeMap<Box<str>, Samples>),
    Full(FullNames),
}

/// Places of some of one name's entries, the first among them, and where the last one ends.
#[derive(Debug, Clone, Default)]
struct Samples {
    places: Vec<u32>,
    end: u32,
    values: usize,
}

struct Entry<'a> {
    name: &'a str,
    value: &'a str,
    offset: u64,
}

impl<'a> Entry<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Corrupt> {
        let keys = cursor.uvarint()?;
        if keys != 2 {
            return Err(cursor.corrupt(format!("an entry has {keys} keys instead of 2")));
        }
        Ok(Self {
            name: cursor.uvarint_str()?,
            value: cursor.uvarint_str()?,
            offset: cursor.uvarint()?,
        })
    }
}

impl PostingsTable {
    /// Reads through the section and checks it.
    ///
    /// `section` begins with the section's length and may go on behind it; `postings_end` is
    /// [`Toc::postings_end`](super::Toc::postings_end).
    ///
    /// # Errors
    /// A wrong checksum, a cut-off entry, text that is not UTF-8, or from version 2 on entries or
    /// lists out of order.
    pub fn decode(section: Bytes, version: Version, postings_end: u64) -> Result<Self, Corrupt> {
        let content = framed(PLACE, &section)?;
        let section = section.slice(..content.len() + 4);
        let mut cursor = Cursor::starting_at(PLACE, &section, 4);
        let count = cursor.be32()?;
        let names = match version {
            Version::V1 => Names::Full(read_all(&mut cursor, count, postings_end)?),
            Version::V2 => Names::Sampled(sample(&mut cursor, count, postings_end)?),
        };
        Ok(Self {
            section,
            postings_end,
            names,
        })
    }

    /// Returns where the list of `name` and `value` lies in the index file: from its length to where
    /// the next list begins at the latest, checksum included. `None` where no series has the pair.
    ///
    /// # Errors
    /// The section changed since it was checked.
    pub fn range(&self, name: &str, value: &str) -> Result<Option<Range<u64>>, Corrupt> {
        let samples = match &self.names {
            Names::Full(names) => {
                return Ok(names
                    .get(name)
                    .and_then(|values| values.get(value))
                    .cloned());
            }
            Names::Sampled(names) => match names.get(name) {
                None => return Ok(None),
                Some(samples) => samples,
            },
        };
        let after = samples.places.partition_point(|&place| {
            Entry::read(&mut self.cursor(place)).is_ok_and(|entry| entry.value <= value)
        });
        let Some(&place) = after
            .checked_sub(1)
            .and_then(|sample| samples.places.get(sample))
        else {
            return Ok(None);
        };
        let mut cursor = self.cursor(place);
        while cursor.position() < samples.end as usize {
            let entry = Entry::read(&mut cursor)?;
            if entry.value == value {
                let end = if cursor.remaining() == 0 {
                    self.postings_end
                } else {
                    Entry::read(&mut cursor)?.offset
                };
                return Ok(Some(entry.offset..end));
            }
            if entry.value > value {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Returns the label names in order. The unnamed entry of all series is not among them.
    pub fn label_names(&self) -> impl Iterator<Item = &str> + '_ {
        let (sampled, full) = match &self.names {
            Names::Sampled(names) => (Some(names.keys()), None),
            Names::Full(names) => (None, Some(names.keys())),
        };
        let names = sampled
            .into_iter()
            .flatten()
            .chain(full.into_iter().flatten());
        names.map(|name| &**name).filter(|name| !name.is_empty())
    }

    /// How many values `name` has.
    pub fn value_count(&self, name: &str) -> usize {
        match &self.names {
            Names::Sampled(names) => names.get(name).map_or(0, |samples| samples.values),
            Names::Full(names) => names.get(name).map_or(0, BTreeMap::len),
        }
    }

    /// Returns the values of `name` in order, each with where its list lies (see
    /// [`PostingsTable::range`]).
    pub fn values<'a>(&'a self, name: &str) -> ValuesIter<'a> {
        self.values_from(name, "")
    }

    /// [`PostingsTable::values`] from the first one that is not before `start`.
    pub fn values_from<'a>(&'a self, name: &str, start: &str) -> ValuesIter<'a> {
        let samples = match &self.names {
            Names::Full(names) => {
                let from = (Bound::Included(start), Bound::Unbounded);
                return match names.get(name) {
                    None => Box::new(std::iter::empty()),
                    Some(values) => Box::new(
                        values
                            .range::<str, _>(from)
                            .map(|(value, range)| (&**value, range.clone())),
                    ),
                };
            }
            Names::Sampled(names) => match names.get(name) {
                None => return Box::new(std::iter::empty()),
                Some(samples) => samples,
            },
        };
        let before = samples.places.partition_point(|&place| {
            Entry::read(&mut self.cursor(place)).is_ok_and(|entry| entry.value < start)
        });
        let first = samples
            .places
            .get(before.saturating_sub(1))
            .copied()
            .unwrap_or(samples.end);
        let start = start.to_owned();
        Box::new(
            self.walk(first, samples.end)
                .skip_while(move |(value, _)| *value < start.as_str()),
        )
    }

    /// Walks the entries from one place to another.
    fn walk(&self, from: u32, to: u32) -> impl Iterator<Item = (&str, Range<u64>)> + '_ {
        let mut cursor = self.cursor(from);
        let mut place = cursor.position();
        let mut next = Entry::read(&mut cursor).ok();
        std::iter::from_fn(move || {
            if place >= to as usize {
                return None;
            }
            let entry = next.take()?;
            place = cursor.position();
            next = Entry::read(&mut cursor).ok();
            let end = next.as_ref().map_or(self.postings_end, |next| next.offset);
            Some((entry.value, entry.offset..end))
        })
    }

    fn cursor(&self, place: u32) -> Cursor<'_> {
        Cursor::starting_at(PLACE, &self.section, place as usize)
    }
}

fn read_all(cursor: &mut Cursor<'_>, count: u32, postings_end: u64) -> Result<FullNames, Corrupt> {
    let mut names = FullNames::new();
    let mut offsets = Vec::new();
    for _ in 0..count {
        let entry = Entry::read(cursor)?;
        offsets.push(entry.offset);
        let values = names.entry(entry.name.into()).or_default();
        values.insert(entry.value.into(), entry.offset..postings_end);
    }
    offsets.sort_unstable();
    for range in names.values_mut().flat_map(BTreeMap::values_mut) {
        let next = offsets.partition_point(|&offset| offset <= range.start);
        range.end = offsets.get(next).copied().unwrap_or(postings_end);
    }
    Ok(names)
}

fn sample(
    cursor: &mut Cursor<'_>,
    count: u32,
    postings_end: u64,
) -> Result<BTreeMap<Box<str>, Samples>, Corrupt> {
    debug_assert_eq!(
        cursor.position(),
        FIRST_ENTRY,
        "entries begin behind the count"
    );
    let mut names = BTreeMap::new();
    let mut current: Option<(&str, Samples)> = None;
    let (mut last_value, mut last_offset) = ("", 0);
    let place_of = |cursor: &Cursor<'_>| {
        u32::try_from(cursor.position())
            .map_err(|_| cursor.corrupt("the table exceeds four gibibytes"))
    };
    for _ in 0..count {
        let place = place_of(cursor)?;
        let entry = Entry::read(cursor)?;
        if entry.offset < last_offset || entry.offset > postings_end {
            return Err(cursor.corrupt("postings lists are out of order"));
        }
        last_offset = entry.offset;
        match &mut current {
            Some((name, samples)) if *name == entry.name => {
                if entry.value <= last_value {
                    return Err(cursor.corrupt("values are out of order"));
                }
                if samples.values % SAMPLE_EVERY == 0 {
                    samples.places.push(place);
                }
                samples.values += 1;
                samples.end = place_of(cursor)?;
            }
            _ => {
                let samples = Samples {
                    places: vec![place],
                    end: place_of(cursor)?,
                    values: 1,
                };
                if let Some((name, samples)) = current.replace((entry.name, samples)) {
                    if entry.name <= name {
                        return Err(cursor.corrupt("names are out of order"));
                    }
                    names.insert(name.into(), samples);
                }
            }
        }
        last_value = entry.value;
    }
    if let Some((name, samples)) = current {
        names.insert(name.into(), samples);
    }
    Ok(names)
}
