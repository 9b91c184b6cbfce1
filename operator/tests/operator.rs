//! The operator against real programs: an API server, with the rights of its ServiceAccount and no
//! other (there is no node, so no pod ever runs), and Prometheus' own checks of what it would read.

mod operator {
    pub(crate) mod fixture;
    mod growth;
    mod leadership;
    mod lifecycle;
    mod mixin;
    mod monitors;
    mod prometheus;
    mod readiness;
    mod refusal;
    mod schema;
}
