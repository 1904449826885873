//! What a failed call means: did it happen, did it not, or can nobody know?
//!
//! The classes are those of Jepsen's etcd tests. Whatever is not known to be definite is indefinite: calling a write
//! failed that was carried out later would blame the store for the harness's mistake.

use std::error::Error;
use tonic::{Code, ConnectError, Status};

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether the request certainly had no effect and never will.
    pub definite: bool,
    /// A short name for figures: `timeout`, `leader-changed`, `compacted`, …
    pub class: &'static str,
    /// Code and text as they came.
    pub text: String,
}

/// Texts that decide, whatever the code: part of the message, class, and whether the request certainly had no effect.
/// The first that matches wins. etcd 3.4 and 3.8 agree on all of these.
const TEXTS: &[(&str, &str, bool)] = &[
    ("leader changed", "leader-changed", false),
    ("no leader", "no-leader", false),
    ("request timed out", "timeout", false),
    ("deadline exceeded", "timeout", false),
    ("test's own deadline", "timeout", false),
    ("required revision has been compacted", "compacted", true),
    (
        "required revision is a future revision",
        "future-revision",
        true,
    ),
    ("too many requests", "too-many-requests", true),
    ("database space exceeded", "no-space", true),
    ("requested lease not found", "lease-not-found", true),
    ("lease already exists", "lease-exists", true),
    ("too large lease TTL", "lease-ttl", true),
    ("key not found", "key-not-found", true),
    ("duplicate key given", "duplicate-key", true),
    ("raft: stopped", "stopped", true),
    ("server stopped", "stopping", false),
    ("unhealthy cluster", "unhealthy", true),
    ("connection reset", "reset", false),
    ("broken pipe", "reset", false),
    ("half-closed", "half-closed", false),
    ("unexpected end of file", "half-closed", false),
];

impl Failure {
    /// What this status means.
    pub fn of(status: &Status) -> Self {
        let (class, definite) = classify(status);
        Self {
            definite,
            class,
            text: format!("{:?}: {}", status.code(), full_text(status)),
        }
    }
}

fn classify(status: &Status) -> (&'static str, bool) {
    // Without a connection nothing was sent. A connection that breaks under a call is another error.
    if never_connected(status) {
        return ("connect-refused", true);
    }
    let text = full_text(status);
    if let Some((_, class, definite)) = TEXTS.iter().find(|(part, ..)| text.contains(part)) {
        return (class, *definite);
    }
    match status.code() {
        Code::NotFound => ("not-found", true),
        Code::InvalidArgument => ("invalid", true),
        Code::OutOfRange => ("out-of-range", true),
        Code::FailedPrecondition => ("precondition", true),
        Code::AlreadyExists => ("exists", true),
        Code::Unimplemented => ("unimplemented", true),
        Code::PermissionDenied | Code::Unauthenticated => ("denied", true),
        Code::ResourceExhausted => ("exhausted", true),
        Code::DeadlineExceeded => ("timeout", false),
        Code::Unavailable => ("unavailable", false),
        Code::Cancelled => ("canceled", false),
        Code::DataLoss => ("corrupt", false),
        _ => ("other", false),
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
    // The raw client's own word for it.
    status.code() == Code::Unavailable && status.message().starts_with("connect:")
}

/// The message with its causes: transport errors say what happened only there.
fn full_text(status: &Status) -> String {
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
    use super::Failure;
    use mainstay_tests::Raw;
    use std::net::TcpListener;
    use tonic::{Code, Status};

    fn class(code: Code, text: &str) -> (&'static str, bool) {
        let failure = Failure::of(&Status::new(code, text));
        (failure.class, failure.definite)
    }

    #[test]
    fn what_jepsen_calls_indefinite_is_indefinite() {
        for (code, text) in [
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::Unavailable, "transport is closing"),
            (Code::Unknown, "error reading a body: connection reset"),
            (Code::DeadlineExceeded, "context deadline exceeded"),
            (Code::Internal, "h2 protocol error"),
            (Code::Cancelled, "operation was canceled"),
            (Code::Unknown, "something new"),
        ] {
            assert!(!class(code, text).1, "{code:?} {text}");
        }
    }

    #[test]
    fn what_jepsen_calls_definite_is_definite() {
        for (code, text, expected) in [
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
                "compacted",
            ),
            (
                Code::OutOfRange,
                "etcdserver: mvcc: required revision is a future revision",
                "future-revision",
            ),
            (
                Code::NotFound,
                "etcdserver: requested lease not found",
                "lease-not-found",
            ),
            (
                Code::Unknown,
                "etcdserver: too many requests",
                "too-many-requests",
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: too many requests",
                "too-many-requests",
            ),
            (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
                "no-space",
            ),
            (
                Code::InvalidArgument,
                "etcdserver: duplicate key given in txn request",
                "duplicate-key",
            ),
            (Code::Unknown, "raft: stopped", "stopped"),
        ] {
            assert_eq!(class(code, text), (expected, true), "{code:?} {text}");
        }
    }

    /// The real thing: nobody listens on the port.
    #[tokio::test]
    async fn a_refused_connection_is_definite() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let raw = Raw::connect(&format!("http://127.0.0.1:{port}"), None);
        let failure = Failure::of(&raw.get("k").await.unwrap_err());
        assert_eq!(
            (failure.class, failure.definite),
            ("connect-refused", true),
            "{failure:?}"
        );
    }

    /// A server that hangs up in the middle of the call may have carried it out.
    #[tokio::test]
    async fn a_connection_that_ends_under_the_call_is_indefinite() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 64];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut bytes)
                .await
                .unwrap();
        });
        let raw = Raw::connect(&format!("http://127.0.0.1:{port}"), None);
        let failure = Failure::of(&raw.set("k", "v").await.unwrap_err());
        assert!(!failure.definite, "{failure:?}");
        server.await.unwrap();
    }
}
