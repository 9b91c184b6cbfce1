//! The logical plan of a query.
