//! The fixed set of column families.

/// A separately ordered key space of the engine. The set is fixed: it is part of the on-disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Cf {
    /// Key to its latest record.
    Live = 0,
    /// Superseded records: key and revision to the old record, prefixed by the superseding revision.
    Hist = 1,
    /// Revision and sub-revision to event, in time order.
    Log = 2,
    /// Leases and their attached keys.
    Lease = 3,
    /// Users, roles and their permissions.
    Auth = 4,
    /// Applied log id, membership, revision and the like.
    Meta = 5,
}

impl Cf {
    /// Every column family, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Live,
        Self::Hist,
        Self::Log,
        Self::Lease,
        Self::Auth,
        Self::Meta,
    ];

    /// The name used on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Hist => "hist",
            Self::Log => "log",
            Self::Lease => "lease",
            Self::Auth => "auth",
            Self::Meta => "meta",
        }
    }

    /// Position in [`Cf::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
