//! The gRPC server of a component and the channel to a peer's.

mod client;
mod metered;
mod server;

pub use client::{ChannelConfig, ChannelError, channel};
pub use server::{GrpcConfig, GrpcServer};

/// The message size both sides allow, as the field does; what a message may cost is bounded by the
/// services' own limits. Generated servers and clients take it as `max_decoding_message_size`.
pub const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

#[cfg(test)]
mod tests;
