//! Room `storeapi`.
