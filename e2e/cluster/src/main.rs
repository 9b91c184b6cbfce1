//! `hindsight-cluster`: the embedded Kubernetes from the command line.

fn main() {}
