//! `apiserver` with mistakes on purpose: the one that the environment variable `MAINSTAY_APISERVER_PLANTED` names.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    apiserver::main()
}
