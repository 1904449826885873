//! Makes this process repeatable.
//!
//! Hash maps, tokio's and rand's generators all draw from the system call `getrandom`, and the log's
//! statistics look at the system's clock. This module defines both functions of the C library itself, so
//! that the linker takes these instead: once [`begin`] was called their answers follow from the seed. Before,
//! and in processes that simulate nothing, they pass the call on to the kernel.
//!
//! The seed is per process because such state is (hash keys are counted up per thread, for one).

#![allow(
    unsafe_code,
    reason = "functions of the C library can be replaced in no other way"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

static SIMULATED: AtomicBool = AtomicBool::new(false);
static RANDOM: AtomicU64 = AtomicU64::new(0);
static NOW_NS: AtomicU64 = AtomicU64::new(0);
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// 2026-01-01, so that nothing meets a time before the epoch.
const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// From now on chance and time follow from the seed. Answers whether the replaced functions are in use.
pub(crate) fn begin(seed: u64) -> bool {
    RANDOM.store(seed, Ordering::SeqCst);
    NOW_NS.store(EPOCH_NS, Ordering::SeqCst);
    SIMULATED.store(true, Ordering::SeqCst);
    let before = std::time::Instant::now();
    NOW_NS.fetch_add(1_000_000, Ordering::SeqCst);
    let clock = before.elapsed().as_micros() == 1_000;
    drop(std::hash::RandomState::new());
    clock && DRAWN.load(Ordering::SeqCst) > 0
}

/// Moves the system's clock to so many microseconds after the start of the run.
pub(crate) fn set_time(us: u64) {
    NOW_NS.store(EPOCH_NS + 1_000_000 + us * 1_000, Ordering::SeqCst);
}

/// Times the system was asked for random bytes.
pub(crate) fn drawn() -> u64 {
    DRAWN.load(Ordering::SeqCst)
}

fn random() -> u64 {
    DRAWN.fetch_add(1, Ordering::SeqCst);
    let mut z = RANDOM
        .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

// SAFETY: the C library's own definition has this name and signature, and every caller goes by its contract:
// `buf` is valid for writes of `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buf: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if !SIMULATED.load(Ordering::SeqCst) {
        // SAFETY: the caller's arguments, passed on to the call they are meant for.
        let n = unsafe { libc::syscall(libc::SYS_getrandom, buf, len, flags) };
        return n as ssize_t;
    }
    let mut at = 0;
    while at < len {
        let bytes = random().to_le_bytes();
        let n = bytes.len().min(len - at);
        // SAFETY: `at + n <= len`, and the caller promises `len` writable bytes.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buf.cast::<u8>().add(at), n) };
        at += n;
    }
    len as ssize_t
}

// SAFETY: the C library's own definition has this name and signature; callers pass a valid `out`.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, out: *mut timespec) -> c_int {
    if !SIMULATED.load(Ordering::SeqCst) {
        // SAFETY: the caller's arguments, passed on to the call they are meant for.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock as c_long, out) } as c_int;
    }
    let now = NOW_NS.load(Ordering::SeqCst);
    let time = timespec {
        tv_sec: (now / 1_000_000_000) as i64,
        tv_nsec: (now % 1_000_000_000) as c_long,
    };
    // SAFETY: the caller promises that `out` may be written.
    unsafe { out.write(time) };
    0
}
