//! Clocks, in nanoseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

fn ns(t: Timespec) -> u64 {
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Monotonic time. The same for all processes of the machine, so it may travel inside values.
#[inline]
pub(crate) fn now() -> u64 {
    ns(clock_gettime(ClockId::Monotonic))
}

/// CPU time the calling thread has used.
pub(crate) fn thread_cpu() -> u64 {
    ns(clock_gettime(ClockId::ThreadCPUTime))
}

/// The inverse of `now`, for system calls.
pub(crate) fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    }
}
