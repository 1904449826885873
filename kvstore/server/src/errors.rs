//! Every error clients of etcd know, with its exact code and text, and what each failure becomes.
//!
//! The Go client recognises errors by their text and then decides about retries by the code of its own table, so both
//! must be right.

use crate::grpc::{Code, Status};
use mainstay_mvcc::MvccError;
use mainstay_raft::Error;

macro_rules! table {
    ($($name:ident $code:ident $text:literal,)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub(crate) const $name: Status =
                Status::fixed(Code::$code, concat!("etcdserver: ", $text));
        )*

        /// All of them, for tests.
        #[cfg(test)]
        const ALL: &[(&str, Status)] = &[$((stringify!($name), $name),)*];
    };
}

table! {
    EMPTY_KEY InvalidArgument "key is not provided",
    KEY_NOT_FOUND InvalidArgument "key not found",
    VALUE_PROVIDED InvalidArgument "value is provided",
    LEASE_PROVIDED InvalidArgument "lease is provided",
    TOO_MANY_OPS InvalidArgument "too many operations in txn request",
    DUPLICATE_KEY InvalidArgument "duplicate key given in txn request",
    INVALID_CLIENT_API_VERSION InvalidArgument "invalid client api version",
    INVALID_SORT_OPTION InvalidArgument "invalid sort option",
    MEMBER_BAD_URLS InvalidArgument "given member URLs are invalid",
    REQUEST_TOO_LARGE InvalidArgument "request is too large",
    COMPACTED OutOfRange "mvcc: required revision has been compacted",
    FUTURE_REVISION OutOfRange "mvcc: required revision is a future revision",
    LEASE_TTL_TOO_LARGE OutOfRange "too large lease TTL",
    NO_SPACE ResourceExhausted "mvcc: database space exceeded",
    LEASE_NOT_FOUND NotFound "requested lease not found",
    MEMBER_NOT_FOUND NotFound "member not found",
    LEASE_EXISTS FailedPrecondition "lease already exists",
    MEMBER_EXISTS FailedPrecondition "member ID already exist",
    PEER_URL_EXISTS FailedPrecondition "Peer URLs already exists",
    MEMBER_NOT_LEARNER FailedPrecondition "can only promote a learner member",
    LEARNER_NOT_READY FailedPrecondition "can only promote a learner member which is in sync with leader",
    TOO_MANY_LEARNERS FailedPrecondition "too many learner members in cluster",
    NOT_LEADER FailedPrecondition "not leader",
    NOT_SUPPORTED_FOR_LEARNER FailedPrecondition "rpc not supported for learner",
    BAD_LEADER_TRANSFEREE FailedPrecondition "bad leader transferee",
    NO_LEADER Unavailable "no leader",
    LEADER_CHANGED Unavailable "leader changed",
    STOPPED Unavailable "server stopped",
    TIMEOUT Unavailable "request timed out",
    TIMEOUT_LEADER_FAILURE Unavailable "request timed out, possibly due to previous leader failure",
    TIMEOUT_CONNECTION_LOST Unavailable "request timed out, possibly due to connection lost",
    TIMEOUT_APPLIED_INDEX Unavailable "request timed out, waiting for the applied index took too long",
    UNHEALTHY Unavailable "unhealthy cluster",
    CORRUPT DataLoss "corrupt cluster",
    WATCH_CANCELED Canceled "watch canceled",
    // These two reach the wire as Unknown: etcd maps them to objects that carry no gRPC status.
    NOT_ENOUGH_STARTED Unknown "re-configuration failed due to not enough started members",
    TOO_MANY_REQUESTS Unknown "too many requests",
    // Not in etcd's table, hence Unknown.
    TRANSFER_TIMEOUT Unknown "request timed out, leader transfer took too long",
}

/// The call's own deadline has passed; grpc-go answers this, not etcd.
pub(crate) const DEADLINE: Status =
    Status::fixed(Code::DeadlineExceeded, "context deadline exceeded");

impl From<&MvccError> for Status {
    fn from(error: &MvccError) -> Self {
        match error {
            MvccError::EmptyKey => EMPTY_KEY,
            MvccError::KeyNotFound => KEY_NOT_FOUND,
            MvccError::ValueProvided => VALUE_PROVIDED,
            MvccError::LeaseProvided => LEASE_PROVIDED,
            MvccError::LeaseNotFound => LEASE_NOT_FOUND,
            MvccError::TooManyOps => TOO_MANY_OPS,
            MvccError::DuplicateKey => DUPLICATE_KEY,
            MvccError::InvalidSortOption => INVALID_SORT_OPTION,
            MvccError::Compacted => COMPACTED,
            MvccError::FutureRevision => FUTURE_REVISION,
            MvccError::NotReadOnly | MvccError::Engine(_) | MvccError::Corrupt(_) => {
                Self::new(Code::Unknown, format!("etcdserver: {error}"))
            }
        }
    }
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        match error {
            Error::NoLeader => NO_LEADER,
            Error::LeaderChanged => LEADER_CHANGED,
            Error::NotLeader => NOT_LEADER,
            Error::Timeout => TIMEOUT,
            Error::TimeoutLeaderFailure => TIMEOUT_LEADER_FAILURE,
            Error::TimeoutConnectionLost => TIMEOUT_CONNECTION_LOST,
            Error::TimeoutAppliedIndex => TIMEOUT_APPLIED_INDEX,
            Error::Stopped => STOPPED,
            Error::TooManyRequests => TOO_MANY_REQUESTS,
            Error::RequestTooLarge => REQUEST_TOO_LARGE,
            Error::NoSpace => NO_SPACE,
            Error::Corrupt => CORRUPT,
            Error::NotLearner => MEMBER_NOT_LEARNER,
            Error::LearnerNotReady => LEARNER_NOT_READY,
            Error::TooManyLearners => TOO_MANY_LEARNERS,
            Error::MemberNotFound => MEMBER_NOT_FOUND,
            Error::MemberExists => MEMBER_EXISTS,
            Error::PeerUrlExists => PEER_URL_EXISTS,
            Error::BadPeerUrls => MEMBER_BAD_URLS,
            Error::NotEnoughStarted => NOT_ENOUGH_STARTED,
            Error::Unhealthy => UNHEALTHY,
            Error::BadTransferee => BAD_LEADER_TRANSFEREE,
            Error::TransferTimeout => TRANSFER_TIMEOUT,
            Error::LeaseNotFound => LEASE_NOT_FOUND,
            Error::LeaseExists => LEASE_EXISTS,
            Error::LeaseTtlTooLarge => LEASE_TTL_TOO_LARGE,
            Error::Mvcc(error) => error.into(),
            Error::Fatal(text) => Self::new(Code::Unknown, format!("etcdserver: {text}")),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<MvccError> for Status {
    fn from(error: MvccError) -> Self {
        Self::from(&error)
    }
}

/// A method this server does not offer yet.
pub(crate) fn unimplemented(what: &str) -> Status {
    Status::new(Code::Unimplemented, format!("{what} is not supported yet"))
}

/// A request whose bytes are no valid message; grpc-go's words.
pub(crate) fn undecodable(error: &prost::DecodeError) -> Status {
    Status::new(
        Code::Internal,
        format!("grpc: error unmarshalling request: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code and text as clients compare them; written out again so that a slip in the table shows.
    const EXPECTED: &[(Error, u8, &str)] = &[
        (Error::NoLeader, 14, "etcdserver: no leader"),
        (Error::LeaderChanged, 14, "etcdserver: leader changed"),
        (Error::NotLeader, 9, "etcdserver: not leader"),
        (Error::Timeout, 14, "etcdserver: request timed out"),
        (
            Error::TimeoutLeaderFailure,
            14,
            "etcdserver: request timed out, possibly due to previous leader failure",
        ),
        (
            Error::TimeoutConnectionLost,
            14,
            "etcdserver: request timed out, possibly due to connection lost",
        ),
        (
            Error::TimeoutAppliedIndex,
            14,
            "etcdserver: request timed out, waiting for the applied index took too long",
        ),
        (Error::Stopped, 14, "etcdserver: server stopped"),
        (Error::TooManyRequests, 2, "etcdserver: too many requests"),
        (
            Error::RequestTooLarge,
            3,
            "etcdserver: request is too large",
        ),
        (
            Error::NoSpace,
            8,
            "etcdserver: mvcc: database space exceeded",
        ),
        (Error::Corrupt, 15, "etcdserver: corrupt cluster"),
        (
            Error::NotLearner,
            9,
            "etcdserver: can only promote a learner member",
        ),
        (
            Error::LearnerNotReady,
            9,
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        (
            Error::TooManyLearners,
            9,
            "etcdserver: too many learner members in cluster",
        ),
        (Error::MemberNotFound, 5, "etcdserver: member not found"),
        (
            Error::MemberExists,
            9,
            "etcdserver: member ID already exist",
        ),
        (
            Error::PeerUrlExists,
            9,
            "etcdserver: Peer URLs already exists",
        ),
        (
            Error::BadPeerUrls,
            3,
            "etcdserver: given member URLs are invalid",
        ),
        (
            Error::NotEnoughStarted,
            2,
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        (Error::Unhealthy, 14, "etcdserver: unhealthy cluster"),
        (Error::BadTransferee, 9, "etcdserver: bad leader transferee"),
        (
            Error::TransferTimeout,
            2,
            "etcdserver: request timed out, leader transfer took too long",
        ),
        (
            Error::LeaseNotFound,
            5,
            "etcdserver: requested lease not found",
        ),
        (Error::LeaseExists, 9, "etcdserver: lease already exists"),
        (
            Error::LeaseTtlTooLarge,
            11,
            "etcdserver: too large lease TTL",
        ),
        (
            Error::Mvcc(MvccError::EmptyKey),
            3,
            "etcdserver: key is not provided",
        ),
        (
            Error::Mvcc(MvccError::KeyNotFound),
            3,
            "etcdserver: key not found",
        ),
        (
            Error::Mvcc(MvccError::ValueProvided),
            3,
            "etcdserver: value is provided",
        ),
        (
            Error::Mvcc(MvccError::LeaseProvided),
            3,
            "etcdserver: lease is provided",
        ),
        (
            Error::Mvcc(MvccError::LeaseNotFound),
            5,
            "etcdserver: requested lease not found",
        ),
        (
            Error::Mvcc(MvccError::TooManyOps),
            3,
            "etcdserver: too many operations in txn request",
        ),
        (
            Error::Mvcc(MvccError::DuplicateKey),
            3,
            "etcdserver: duplicate key given in txn request",
        ),
        (
            Error::Mvcc(MvccError::InvalidSortOption),
            3,
            "etcdserver: invalid sort option",
        ),
        (
            Error::Mvcc(MvccError::Compacted),
            11,
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (
            Error::Mvcc(MvccError::FutureRevision),
            11,
            "etcdserver: mvcc: required revision is a future revision",
        ),
    ];

    #[test]
    fn every_failure_has_its_code_and_text() {
        for (error, code, text) in EXPECTED {
            let status = Status::from(error);
            assert_eq!(
                (status.code as u8, &*status.message),
                (*code, *text),
                "{error:?}"
            );
        }
    }

    #[test]
    fn every_row_is_prefixed_and_unique() {
        for (index, (name, status)) in ALL.iter().enumerate() {
            assert!(status.message.starts_with("etcdserver: "), "{name}");
            assert!(
                ALL[..index]
                    .iter()
                    .all(|(_, other)| other.message != status.message),
                "{name}"
            );
        }
        assert_eq!(WATCH_CANCELED.code, Code::Canceled);
        assert_eq!(INVALID_CLIENT_API_VERSION.code, Code::InvalidArgument);
        assert_eq!(NOT_SUPPORTED_FOR_LEARNER.code, Code::FailedPrecondition);
    }
}
