//! What goes wrong.

use crate::workload::about;
use clap::ValueEnum;
use std::fmt;

/// The nemeses of apiservers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum ApiNemesis {
    /// Nothing goes wrong.
    None,
    /// SIGKILL of one apiserver.
    Kill,
    /// SIGTERM of one apiserver, which must fail nobody.
    Term,
    /// SIGSTOP of one apiserver, then SIGCONT.
    Pause,
    /// SIGKILL of all apiservers.
    KillServers,
    /// SIGKILL of one member of the store.
    KillMember,
    /// SIGKILL of the store's leader.
    KillLeader,
    /// SIGSTOP of the store's leader, then SIGCONT.
    PauseLeader,
    /// One apiserver and one member of the store do not reach each other.
    Cut,
    /// One apiserver reaches no member of the store.
    Isolate,
    /// The store forgets its past, up to a moment ago, several times a second.
    Compaction,
    /// All members of the store and all apiservers lose their power; what was not synced is lost.
    Power,
}

impl ApiNemesis {
    /// Every nemesis.
    pub const ALL: &'static [Self] = &[
        Self::None,
        Self::Kill,
        Self::Term,
        Self::Pause,
        Self::KillServers,
        Self::KillMember,
        Self::KillLeader,
        Self::PauseLeader,
        Self::Cut,
        Self::Isolate,
        Self::Compaction,
        Self::Power,
    ];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::Term => "term",
            Self::Pause => "pause",
            Self::KillServers => "kill-servers",
            Self::KillMember => "kill-member",
            Self::KillLeader => "kill-leader",
            Self::PauseLeader => "pause-leader",
            Self::Cut => "cut",
            Self::Isolate => "isolate",
            Self::Compaction => "compaction",
            Self::Power => "power",
        }
    }

    /// One sentence for lists.
    pub fn about(self) -> String {
        about(&self)
    }

    /// Whether it needs a proxy between each apiserver and each member.
    pub(super) fn needs_proxies(self) -> bool {
        matches!(self, Self::Cut | Self::Isolate)
    }
}

impl fmt::Display for ApiNemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
