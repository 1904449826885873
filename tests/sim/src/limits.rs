//! Every bound of a run, in one place. Times are simulated unless said otherwise.

/// Step of the world in microseconds.
pub(crate) const STEP_US: u64 = 1_000;
/// Bytes on their way in one direction of a connection before its writer waits.
pub(crate) const PIPE_BYTES_MAX: usize = 256 << 10;
/// Events kept for the report of a violation.
pub(crate) const LAST_EVENTS: usize = 60;
/// How long a healthy majority may take to converge once the faults are over.
pub(crate) const LIVENESS_LIMIT_US: u64 = 60_000_000;
/// Longest pause before a supervisor starts a process again.
pub(crate) const RESTART_PAUSE_MAX_US: u64 = 3_000_000;
/// Whole real time one seed may take.
pub(crate) const SEED_LIMIT_S: u64 = 120;
