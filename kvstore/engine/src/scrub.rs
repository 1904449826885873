//! Looking for damage in what an engine has on disk.

use std::ops::ControlFlow;

/// Called by whoever finds stored bytes that cannot be what was written; the argument says which and where.
pub type OnCorruption = Box<dyn Fn(&str) + Send + Sync>;

/// Told how many bytes were read since the last call, so that it can hold the reader back or end the work.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// What to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrub {
    /// Files that were never checked: what they hold now is what they must hold for ever. Cheap.
    New,
    /// Every file of which it is known what it must hold.
    Everything,
    /// Every stored record, by the checksums of its block: needs no knowledge of earlier times, costs the most.
    Records,
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    pub files: u64,
    pub bytes: u64,
    /// Files that were seen for the first time.
    pub new_files: u64,
}

/// What an immutable file must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSum {
    /// Length in bytes.
    pub len: u64,
    /// CRC-32 (IEEE) of the whole file.
    pub crc: u32,
}
