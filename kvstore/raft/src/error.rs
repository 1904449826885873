//! What the store can answer instead of a result.

use mainstay_mvcc::MvccError;

/// Why a request was not served. The server maps each to etcd's code and text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("no leader")]
    NoLeader,
    #[error("leader changed")]
    LeaderChanged,
    #[error("not leader")]
    NotLeader,
    /// The outcome of a write that got this is unknown.
    #[error("request timed out")]
    Timeout,
    /// The outcome of a write that got this is unknown.
    #[error("request timed out, possibly due to previous leader failure")]
    TimeoutLeaderFailure,
    /// The outcome of a write that got this is unknown.
    #[error("request timed out, possibly due to connection lost")]
    TimeoutConnectionLost,
    #[error("request timed out, waiting for the applied index took too long")]
    TimeoutAppliedIndex,
    #[error("server stopped")]
    Stopped,
    #[error("too many requests")]
    TooManyRequests,
    #[error("request is too large")]
    RequestTooLarge,
    #[error("database space exceeded")]
    NoSpace,
    #[error("corrupt cluster")]
    Corrupt,
    #[error("can only promote a learner member")]
    NotLearner,
    #[error("can only promote a learner member which is in sync with leader")]
    LearnerNotReady,
    #[error("too many learner members in cluster")]
    TooManyLearners,
    #[error("member not found")]
    MemberNotFound,
    #[error("member ID already exist")]
    MemberExists,
    #[error("peer URLs already exists")]
    PeerUrlExists,
    #[error("given member URLs are invalid")]
    BadPeerUrls,
    #[error("re-configuration failed due to not enough started members")]
    NotEnoughStarted,
    #[error("unhealthy cluster")]
    Unhealthy,
    #[error("bad leader transferee")]
    BadTransferee,
    #[error("request timed out, leader transfer took too long")]
    TransferTimeout,
    #[error("requested lease not found")]
    LeaseNotFound,
    #[error("lease already exists")]
    LeaseExists,
    #[error("too large lease TTL")]
    LeaseTtlTooLarge,
    #[error(transparent)]
    Mvcc(#[from] MvccError),
    /// The member can no longer serve; the process should end.
    #[error("{0}")]
    Fatal(String),
}

impl Error {
    /// The number of this error between peers; `None` for those that never cross the wire.
    pub(crate) fn wire(&self) -> u8 {
        match self {
            Self::NoLeader => 1,
            Self::LeaderChanged => 2,
            Self::NotLeader => 3,
            Self::Timeout => 4,
            Self::TimeoutLeaderFailure => 5,
            Self::TimeoutConnectionLost => 6,
            Self::TimeoutAppliedIndex => 7,
            Self::Stopped => 8,
            Self::TooManyRequests => 9,
            Self::NotLearner => 10,
            Self::LearnerNotReady => 11,
            Self::TooManyLearners => 12,
            Self::MemberNotFound => 13,
            Self::MemberExists => 14,
            Self::PeerUrlExists => 15,
            Self::BadPeerUrls => 16,
            Self::NotEnoughStarted => 17,
            Self::Unhealthy => 18,
            Self::BadTransferee => 19,
            Self::TransferTimeout => 20,
            Self::LeaseNotFound => 21,
            Self::RequestTooLarge => 22,
            Self::NoSpace => 23,
            Self::Corrupt => 24,
            Self::LeaseExists | Self::LeaseTtlTooLarge | Self::Mvcc(_) | Self::Fatal(_) => 0,
        }
    }

    /// The counterpart of [`Error::wire`]; unknown numbers become a timeout, whose outcome is unknown.
    pub(crate) fn from_wire(n: u8) -> Self {
        match n {
            1 => Self::NoLeader,
            2 => Self::LeaderChanged,
            3 => Self::NotLeader,
            5 => Self::TimeoutLeaderFailure,
            6 => Self::TimeoutConnectionLost,
            7 => Self::TimeoutAppliedIndex,
            8 => Self::Stopped,
            9 => Self::TooManyRequests,
            10 => Self::NotLearner,
            11 => Self::LearnerNotReady,
            12 => Self::TooManyLearners,
            13 => Self::MemberNotFound,
            14 => Self::MemberExists,
            15 => Self::PeerUrlExists,
            16 => Self::BadPeerUrls,
            17 => Self::NotEnoughStarted,
            18 => Self::Unhealthy,
            19 => Self::BadTransferee,
            20 => Self::TransferTimeout,
            21 => Self::LeaseNotFound,
            22 => Self::RequestTooLarge,
            23 => Self::NoSpace,
            24 => Self::Corrupt,
            _ => Self::Timeout,
        }
    }
}

/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{what} {path}: {source}")]
    Io {
        what: &'static str,
        path: String,
        source: std::io::Error,
    },
    /// A note of it was left: with it the member starts only to be repaired.
    #[error("data is damaged: {0}")]
    Damaged(String),
    /// There is no room to open the data; tried again until there is.
    #[error("no space left: {0}")]
    Full(String),
    #[error("log: {0}")]
    Wal(String),
    #[error("storage: {0}")]
    Storage(String),
    #[error(
        "member {0:x} has already been bootstrapped with other data: remove it from the cluster and add it again instead of reusing its id"
    )]
    AlreadyBootstrapped(u64),
    #[error("{0}")]
    Config(String),
    #[error("raft: {0}")]
    Raft(String),
}

/// Why a running member stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// `shutdown` was called.
    Shutdown,
    /// The member was removed from the cluster.
    Removed,
    /// Its data is damaged, and a note of it was left: it is to start over, to be repaired.
    Damaged(String),
    /// Storage or consensus failed; the text says how.
    Fatal(String),
}
