//! What goes wrong: compositions of fault primitives, each with a proof that it acted.

mod arena;
mod clock;
mod damage;
mod disk;
mod driver;
mod network;
mod process;
mod schedule;
mod strike;

pub use self::arena::Arena;
pub use self::driver::{Driven, drive, supervise_once};
pub use self::schedule::{Act, Schedule, Stage};

use crate::workload::about;
use clap::ValueEnum;
use std::fmt;

/// The nemeses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Nemesis {
    /// Nothing goes wrong.
    None,
    /// SIGKILL of a random member.
    Kill,
    /// SIGKILL of the leader.
    KillLeader,
    /// SIGKILL of all members at once.
    KillAll,
    /// SIGSTOP of the leader, then SIGCONT.
    PauseLeader,
    /// SIGSTOP of a random minority, then SIGCONT.
    PauseMinority,
    /// The disk of one member loses what was not synced, with the process.
    Power,
    /// The same for all members at once.
    PowerAll,
    /// A clean split into a majority and a minority.
    PartitionHalves,
    /// Two halves that only meet in one member.
    PartitionBridge,
    /// A member that hears nobody, or that nobody hears.
    PartitionOneWay,
    /// The leader apart from all other members; clients still reach it.
    PartitionLeader,
    /// Every member sees a majority, no two the same one.
    PartitionRing,
    /// Links that break and heal at about the election timeout.
    PartitionFlapping,
    /// A share of all packets between members is lost.
    Loss,
    /// Peer links through a proxy that delays.
    Delay,
    /// The same with a delay that varies.
    Jitter,
    /// Wall clocks of a minority jump by up to five minutes, back and forth.
    Clock,
    /// The disk of one member takes long for every write.
    SlowDisk,
    /// The disk of the leader takes long for every write.
    SlowDiskLeader,
    /// The disk of the leader stands still: no error, no answer.
    StallDiskLeader,
    /// The disk of one member answers EIO.
    Eio,
    /// The disk of one member is full.
    DiskFull,
    /// A bit flips in a file of a stopped member.
    BitFlip,
    /// A file of a stopped member is cut short.
    Truncate,
    /// Members restart one after the other, cleanly.
    Rolling,
    /// Compactions at random revisions, several a second, also of the future.
    Compaction,
}

impl Nemesis {
    /// Every nemesis.
    pub const ALL: &'static [Self] = &[
        Self::None,
        Self::Kill,
        Self::KillLeader,
        Self::KillAll,
        Self::PauseLeader,
        Self::PauseMinority,
        Self::Power,
        Self::PowerAll,
        Self::PartitionHalves,
        Self::PartitionBridge,
        Self::PartitionOneWay,
        Self::PartitionLeader,
        Self::PartitionRing,
        Self::PartitionFlapping,
        Self::Loss,
        Self::Delay,
        Self::Jitter,
        Self::Clock,
        Self::SlowDisk,
        Self::SlowDiskLeader,
        Self::StallDiskLeader,
        Self::Eio,
        Self::DiskFull,
        Self::BitFlip,
        Self::Truncate,
        Self::Rolling,
        Self::Compaction,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::KillLeader => "kill-leader",
            Self::KillAll => "kill-all",
            Self::PauseLeader => "pause-leader",
            Self::PauseMinority => "pause-minority",
            Self::Power => "power",
            Self::PowerAll => "power-all",
            Self::PartitionHalves => "partition-halves",
            Self::PartitionBridge => "partition-bridge",
            Self::PartitionOneWay => "partition-one-way",
            Self::PartitionLeader => "partition-leader",
            Self::PartitionRing => "partition-ring",
            Self::PartitionFlapping => "partition-flapping",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Jitter => "jitter",
            Self::Clock => "clock",
            Self::SlowDisk => "slow-disk",
            Self::SlowDiskLeader => "slow-disk-leader",
            Self::StallDiskLeader => "stall-disk-leader",
            Self::Eio => "eio",
            Self::DiskFull => "disk-full",
            Self::BitFlip => "bit-flip",
            Self::Truncate => "truncate",
            Self::Rolling => "rolling",
            Self::Compaction => "compaction",
        }
    }

    /// One sentence for lists.
    pub fn about(self) -> String {
        about(&self)
    }

    /// The smallest cluster in which it makes sense.
    pub fn members_min(self) -> usize {
        match self {
            Self::PartitionRing => 5,
            Self::PartitionHalves
            | Self::PartitionBridge
            | Self::PartitionOneWay
            | Self::PartitionLeader
            | Self::PartitionFlapping
            | Self::Loss
            | Self::Delay
            | Self::Jitter
            | Self::PauseMinority
            | Self::Eio
            | Self::BitFlip
            | Self::Truncate => 3,
            _ => 1,
        }
    }

    /// The disks it needs the members to be on.
    pub fn disk(self) -> Option<Disks> {
        match self {
            Self::Power | Self::PowerAll => Some(Disks::Loop),
            Self::DiskFull => Some(Disks::Small),
            Self::SlowDisk | Self::SlowDiskLeader | Self::StallDiskLeader | Self::Eio => {
                Some(Disks::Daemon)
            }
            _ => None,
        }
    }

    /// Whether it needs proxies on the links between members.
    pub fn needs_proxies(self) -> bool {
        matches!(self, Self::Delay | Self::Jitter)
    }

    /// Whether a member may end by itself under it, to be started again by whoever supervises it: after an I/O error
    /// nothing else is safe. A full disk is no such reason.
    pub fn may_end_processes(self) -> bool {
        matches!(self, Self::Eio | Self::BitFlip | Self::Truncate)
    }

    /// Whether it ends processes itself.
    pub fn ends_processes(self) -> bool {
        matches!(
            self,
            Self::Kill
                | Self::KillLeader
                | Self::KillAll
                | Self::Power
                | Self::PowerAll
                | Self::Rolling
                | Self::BitFlip
                | Self::Truncate
                | Self::Eio
        )
    }

    /// Whether it decides who reaches whom, or how fast: two such would undo each other.
    pub fn shapes(self) -> Option<&'static str> {
        match self {
            Self::PartitionHalves
            | Self::PartitionBridge
            | Self::PartitionOneWay
            | Self::PartitionLeader
            | Self::PartitionRing
            | Self::PartitionFlapping => Some("partition"),
            Self::Delay | Self::Jitter => Some("delay"),
            _ => None,
        }
    }

    /// Whether it can be had without network namespaces.
    pub fn works_on_loopback(self) -> bool {
        self != Self::Loss
    }
}

/// What the members' data lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disks {
    /// A file system of its own, whose unsynced contents can be lost.
    Loop,
    /// The same, small enough to be filled.
    Small,
    /// A block device that can be slowed down and made to fail.
    Daemon,
}

impl fmt::Display for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
