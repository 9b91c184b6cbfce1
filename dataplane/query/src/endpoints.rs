//! The stores a querier asks: where they are configured, where they are, whether they answer.
//!
//! In reading order: [`address`] (how an endpoint is written), [`config`] (flags and files),
//! [`resolve`] (names to addresses), [`member`] with `backoff` (one endpoint, its health, when it is
//! asked again), [`set`] (all of them,
//! kept up to date).

pub mod address;
mod backoff;
pub mod config;
pub mod member;
pub mod resolve;
pub mod set;

pub use address::{Address, ParseAddressError};
pub use config::{ClientSpec, EndpointSources, EndpointSpec};
pub use member::Member;
pub use resolve::{Resolve, SystemResolver};
pub use set::EndpointSet;
