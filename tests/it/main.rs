//! What holds between the rooms: the edges between them, the contract between operator and data
//! plane, and the differential tests against a real Prometheus.

mod contract;
mod differential;
mod docs;
mod rooms;
