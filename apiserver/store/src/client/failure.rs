//! Why a call to the store did not succeed.

use std::error::Error;
use tonic::{Code, ConnectError, Status};

/// A failed call. All but [`Failure::OutcomeUnknown`] are certain: the request had no effect and never will.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No endpoint took the request, or none answered a read in time.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A write was sent and may or may not have been carried out. Whoever repeats it must read first.
    #[error("the outcome of the write is unknown: {0}")]
    OutcomeUnknown(String),
    /// The revision asked for is older than what the store keeps.
    #[error("the revision has been compacted")]
    Compacted,
    /// The revision asked for has not happened yet.
    #[error("the revision is in the future")]
    FutureRevision,
    /// The lease does not exist or has expired.
    #[error("the lease does not exist")]
    LeaseNotFound,
    /// The object is larger than the store accepts; of a read: the answer is larger than
    /// [`ANSWER_BYTES_MAX`](crate::limits::ANSWER_BYTES_MAX).
    #[error("the message is too large")]
    TooLarge,
    /// The store has reached its space quota and refuses writes.
    #[error("the store is out of space")]
    NoSpace,
    /// The store sheds load; the request may be repeated later.
    #[error("the store is overloaded")]
    Overloaded,
    /// The store does not accept this client's credentials.
    #[error("the store denies access: {0}")]
    Denied(String),
    /// The store refuses the request for another reason: a mistake of the caller, or of this client.
    #[error("the store refuses the request: {0}")]
    Refused(String),
}

impl Failure {
    /// Whether a write that failed so may nevertheless have been carried out.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }
}

/// What a status means for the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was sent: the same request may go to another endpoint.
    NotSent(String),
    /// The endpoint failed under the request: a read may go to another endpoint, a write has an unknown outcome.
    Lost(String),
    /// The store has answered, and every endpoint would answer so.
    Final(Failure),
}

type Make = fn() -> Failure;

/// Texts that decide, whatever the code: etcd 3.4 to 3.7 agree on all of these. The first that matches wins.
const TEXTS: &[(&str, Make)] = &[
    ("required revision has been compacted", || {
        Failure::Compacted
    }),
    ("required revision is a future revision", || {
        Failure::FutureRevision
    }),
    ("requested lease not found", || Failure::LeaseNotFound),
    ("request is too large", || Failure::TooLarge),
    // The transport's limits, in Go's words and in tonic's. Only writes and answers of reads are large, so the caller
    // knows which of the two it was.
    ("message larger than max", || Failure::TooLarge),
    ("message length too large", || Failure::TooLarge),
    ("database space exceeded", || Failure::NoSpace),
    ("too many requests", || Failure::Overloaded),
];

impl Verdict {
    pub(crate) fn of(status: &Status) -> Self {
        if never_connected(status) {
            return Self::NotSent(full_text(status));
        }
        let text = full_text(status);
        if let Some((_, make)) = TEXTS.iter().find(|(part, _)| text.contains(part)) {
            return Self::Final(make());
        }
        match status.code() {
            // etcd's own connection errors and its loss of a leader: not answered, perhaps carried out.
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Aborted
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss
            | Code::Ok => Self::Lost(text),
            Code::PermissionDenied | Code::Unauthenticated => Self::Final(Failure::Denied(text)),
            Code::ResourceExhausted => Self::Final(Failure::Overloaded),
            _ => Self::Final(Failure::Refused(text)),
        }
    }
}

fn never_connected(status: &Status) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The message with its causes: transport errors say what happened only there.
pub(crate) fn full_text(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Failure, Verdict};
    use tonic::{Code, Status};

    #[test]
    fn answers_of_etcd_have_a_meaning() {
        for (code, text, expected) in [
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                Failure::Compacted,
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                Failure::FutureRevision,
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                Failure::LeaseNotFound,
            ),
            (
                Code::InvalidArgument,
                "etcdserver: request is too large",
                Failure::TooLarge,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                Failure::NoSpace,
            ),
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (3145800 vs. 2097152)",
                Failure::TooLarge,
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                Failure::Overloaded,
            ),
        ] {
            let verdict = Verdict::of(&Status::new(code, text));
            assert_eq!(verdict, Verdict::Final(expected), "{text}");
        }
    }

    #[test]
    fn what_may_have_happened_is_never_called_final() {
        for (code, text) in [
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::Unknown, "error reading a body: connection reset"),
            (Code::DeadlineExceeded, "context deadline exceeded"),
            (Code::Internal, "h2 protocol error"),
            (Code::Unknown, "something new"),
        ] {
            let verdict = Verdict::of(&Status::new(code, text));
            assert_eq!(verdict, Verdict::Lost(text.into()), "{text}");
        }
    }
}
