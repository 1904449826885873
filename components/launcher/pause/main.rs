//! Holds the namespaces of a pod: never ends by itself, and lets no zombie stay where a pod shares its processes.
//!
//! A program of its own, without any crate: see `build.rs`.

use std::ffi::c_int;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIGCHLD: c_int = 17;
/// The disposition "ignore".
const IGNORE: usize = 1;

unsafe extern "C" {
    fn signal(number: c_int, disposition: usize) -> usize;
    fn pause() -> c_int;
    fn _exit(status: c_int) -> !;
}

extern "C" fn end(_number: c_int) {
    // SAFETY: may be called within a handler of signals, and does not return.
    unsafe { _exit(0) }
}

fn main() {
    let end: extern "C" fn(c_int) = end;
    // SAFETY: the handler is as the C library wants it, and does nothing that a handler must not do. Whoever ignores
    // SIGCHLD has no zombies: the kernel buries children itself, those that were left by others among them.
    unsafe {
        signal(SIGCHLD, IGNORE);
        signal(SIGINT, end as usize);
        signal(SIGTERM, end as usize);
    }
    loop {
        // SAFETY: waits for a signal, and touches nothing.
        unsafe { pause() };
    }
}
