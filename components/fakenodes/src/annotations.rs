//! What pods and nodes can be told to do. Durations are written as `500ms`, `2s` or `1m 30s`.

/// Pod: time from being bound to running.
pub const START_AFTER: &str = "fake.mainstay.io/start-after";
/// Pod: time from running to ready; `never` for one that never is.
pub const READY_AFTER: &str = "fake.mainstay.io/ready-after";
/// Pod: time from running to the end of its containers; `never` for one that runs until it is deleted.
pub const ENDS_AFTER: &str = "fake.mainstay.io/ends-after";
/// Pod: exit code of its containers when they end.
pub const EXIT_CODE: &str = "fake.mainstay.io/exit-code";
/// Node: with `true` nothing is heard of it: neither lease nor status, and its pods stay as they are.
pub const SILENT: &str = "fake.mainstay.io/silent";
