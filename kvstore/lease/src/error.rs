//! What can go wrong with a lease.

/// Every error of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Granting: the TTL exceeds [`crate::limits::TTL_MAX_S`].
    #[error("too large lease TTL")]
    TooLarge,
    /// Granting: the id is in use.
    #[error("lease already exists")]
    Exists,
    /// Granting: id 0 means "choose one", which must happen before the grant is replicated.
    #[error("lease id 0 cannot be granted")]
    NoId,
    /// No such lease.
    #[error("requested lease not found")]
    NotFound,
    /// The lease's deadline has passed and its revocation is on the way: it can no longer be renewed.
    #[error("lease expired and awaits its revocation")]
    Expired,
    /// Only the leader knows deadlines.
    #[error("not a primary lessor")]
    NotLeader,
    /// A stored record is damaged or of an unknown version.
    #[error("corrupt lease record")]
    Corrupt,
}
