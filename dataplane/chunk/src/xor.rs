//! Float samples: delta-of-delta timestamps and XORed values (Gorilla's idea, Prometheus' sizes).
//!
//! ```text
//! u16 BE sample count
//! sample 0    varint t, 64 bits value
//! sample 1    uvarint delta of t, <value>
//! sample n    <delta of delta>, <value>
//!
//! <delta of delta>  0 | 10 +14 bits | 110 +17 bits | 1110 +20 bits | 1111 +64 bits
//! <value>           0 unchanged
//!                   10 XOR in the previous window of significant bits
//!                   11 +5 bits leading zeros +6 bits significant bits (0 is 64), then the XOR
//! ```

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::decode_xor;
pub(crate) use decode::{MAX_SAMPLES_PER_BYTE, Window, first_sample};
pub use encode::XorAppender;
pub(crate) use encode::XorWindow;
