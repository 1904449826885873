//! `kvstore` with bugs on purpose: the one that the environment variable `MAINSTAY_PLANTED` names.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kvstore::main()
}
