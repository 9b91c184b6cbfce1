//! The `hindsight` binary.

use std::process::ExitCode;

/// Gives memory back to the system after a large query, which the system's allocator does not.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cmd::run::main(std::env::args_os())
}
