//! The operator against a real API server, with the rights of its ServiceAccount and no other.
//! There is no node, so no pod ever runs.

mod control_plane {
    pub(crate) mod fixture;
    mod leadership;
    mod lifecycle;
    mod refusal;
    mod schema;
}
