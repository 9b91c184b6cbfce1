//! The reconcile, in order: [`dereference`] (reads), [`validate`] (pure), [`mint`] (secret
//! material), [`build`] (pure), `apply` (writes), `status` (pure, then one write).

pub mod build;
pub mod dereference;
pub mod mint;
pub mod validate;
