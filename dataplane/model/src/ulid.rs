//! Block identifiers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// A block's ULID: 48 bits of milliseconds since the epoch, 80 random bits, written as 26 characters
/// of Crockford's base 32. Orders by time first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(Ulid);

/// A text that is no block identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a ULID, which has 26 characters of 0-9 and A-Z without I, L, O and U")]
pub struct ParseBlockIdError {
    text: String,
}

impl BlockId {
    /// Makes the identifier of these parts; of `random` the lowest 80 bits count.
    #[must_use]
    pub const fn from_parts(timestamp_ms: u64, random: u128) -> Self {
        Self(Ulid::from_parts(timestamp_ms, random))
    }

    /// Milliseconds since the epoch at which the block was made.
    #[must_use]
    pub const fn timestamp_ms(&self) -> u64 {
        self.0.timestamp_ms()
    }

    /// The 16 bytes, which order as the identifier does.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 16] {
        self.0.to_bytes()
    }
}

impl FromStr for BlockId {
    type Err = ParseBlockIdError;

    /// Accepts exactly the written form, so that an identifier has one spelling and parsing a name
    /// that came from elsewhere makes it safe to join to a path.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Ulid::from_string(text) {
            Ok(ulid) if ulid.to_string() == text => Ok(Self(ulid)),
            _ => Err(ParseBlockIdError {
                text: text.chars().take(64).collect(),
            }),
        }
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BlockId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_id_has_one_spelling() {
        let id = BlockId::from_parts(1_700_000_000_000, 0x0123_4567_89ab_cdef_0123);
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(id.timestamp_ms(), 1_700_000_000_000);
        for wrong in [
            text.to_lowercase(),
            text[1..].to_owned(),
            format!("{text}0"),
            "../meta".into(),
            String::new(),
        ] {
            assert!(wrong.parse::<BlockId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn later_blocks_order_later() {
        assert!(BlockId::from_parts(1, u128::MAX) < BlockId::from_parts(2, 0));
    }
}
