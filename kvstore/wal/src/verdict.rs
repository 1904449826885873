//! What recovery found.

use bytes::Bytes;

use crate::entry::LogId;

/// The log as it was found at open.
#[derive(Debug, Clone)]
pub struct Recovered {
    pub vote: Option<Bytes>,
    pub committed: Option<LogId>,
    pub purged: Option<LogId>,
    /// First and last entry present; `None` if the log holds no entries.
    pub first: Option<LogId>,
    pub last: Option<LogId>,
    pub verdict: Verdict,
    /// The log existed but its witness did not (or was unreadable): damage to the last batch could
    /// not have been told from a torn write.
    pub witness_missing: bool,
    /// One of the witness' two records was unreadable. A crash may do that, and the other one has told
    /// what had to be told; it is written again at open.
    pub witness_torn: bool,
}

/// How trustworthy the recovered log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was ever acknowledged is there.
    Intact,
    /// The last batch was only partly written when the process or the machine died. It was never
    /// acknowledged and has been dropped; everything acknowledged is there.
    TornTail { dropped_bytes: u64 },
    /// Acknowledged records are gone or unreadable. What precedes the damage was recovered. The
    /// member must not vote until its log has been supplied again and `mark_repaired` was called;
    /// the verdict is remembered across restarts until then.
    Damaged(Damage),
}

/// Where acknowledged records were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Sequence number of the segment, or 0 if there is none.
    pub segment: u64,
    /// Byte offset in that segment.
    pub offset: u64,
    pub what: DamageKind,
    /// The first index that may be missing.
    pub first_lost_index: u64,
}

/// Kinds of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// The witness exists, the log does not.
    LogMissing,
    /// A segment's header is unreadable.
    Header,
    /// A record inside acknowledged bytes is unreadable.
    Record,
    /// The log ends before what the witness knows to be durable.
    Short,
    /// A whole segment is missing.
    SegmentMissing,
}

impl DamageKind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::LogMissing => 1,
            Self::Header => 2,
            Self::Record => 3,
            Self::Short => 4,
            Self::SegmentMissing => 5,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::LogMissing,
            2 => Self::Header,
            3 => Self::Record,
            4 => Self::Short,
            5 => Self::SegmentMissing,
            _ => return None,
        })
    }
}
