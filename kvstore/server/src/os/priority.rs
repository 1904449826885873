//! Scheduling priority of the threads that everybody waits for.

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// Gives the calling thread a nice value below zero where the process may (root, CAP_SYS_NICE or a
/// limit that allows it); does nothing otherwise.
pub(super) fn raise(nice: i32) {
    // To Linux, priorities are a thread's: its id stands where others want a process.
    if let Err(e) = setpriority_process(Some(gettid()), nice) {
        tracing::debug!("keeping the thread's priority: {e}");
    }
}
