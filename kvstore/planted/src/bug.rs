//! The bugs.

use std::fmt;
use std::str::FromStr;

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A mistake that can be compiled in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Bug {
            /// Every bug there is.
            pub const ALL: &'static [Bug] = &[$(Bug::$variant,)+];

            /// The name by which it is asked for.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Bug::$variant => $name,)+
                }
            }

            /// What is wrong, for tables.
            pub const fn what(self) -> &'static str {
                match self {
                    $(Bug::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

bugs! {
    /// The log calls entries durable when they are written, before the sync.
    AckBeforeFsync = "ack-before-fsync",
    /// A leader serves reads on the strength of having led a moment ago, by its own clock.
    StaleReadAfterPause = "stale-read-after-pause",
    /// A read that arrives while a read-index round is under way takes that round's index.
    ReusedReadIndex = "reused-read-index",
    /// Now and then an event is not handed to the watchers that are level.
    LostWatchEvent = "lost-watch-event",
    /// A watcher that has caught up gets the last event of the past once more.
    DoubledWatchEvent = "doubled-watch-event",
    /// After a restart the first write reuses the last revision.
    RevisionReuse = "revision-reuse",
    /// A new leader forgets the leases it has not granted itself.
    LeaseDroppedOnLeaderChange = "lease-dropped-on-leader-change",
    /// The applied log id is written apart from the data it belongs to.
    TornBatch = "torn-batch",
    /// A put answers without the previous pair although it was asked for and there was one.
    MissedPrevKv = "missed-prev-kv",
    /// The writes of a transaction get revisions of their own.
    NonAtomicRevision = "non-atomic-revision",
    /// A compaction drops what is still visible at the compacted revision.
    WrongCompactionEdge = "wrong-compaction-edge",
    /// The vote is not written to disk.
    VoteForgotten = "vote-forgotten",
    /// A lease ends when half its time is over.
    LeaseTooEarly = "lease-too-early",
    /// Checksums of the log are not looked at when it is read back.
    DamageServed = "damage-served",
}

/// No bug has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownBug(String);

impl fmt::Display for UnknownBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no planted bug is called {:?}; there are:", self.0)?;
        Bug::ALL
            .iter()
            .try_for_each(|bug| write!(f, " {}", bug.name()))
    }
}

impl std::error::Error for UnknownBug {}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Bug::ALL
            .iter()
            .find(|bug| bug.name() == name)
            .copied()
            .ok_or_else(|| UnknownBug(name.to_owned()))
    }
}
