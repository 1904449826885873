//! What single members say about themselves.

use super::calls::{Client, unary};
use super::connection::Connection;
use super::failure::full_text;
use crate::limits::READ_ATTEMPT_DEADLINE;
use futures_util::future::join_all;
use mainstay_proto::etcdserverpb as pb;
use tokio::time::timeout;

const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// Whether a member serves.
#[derive(Clone, Debug)]
pub struct MemberHealth {
    /// Its URL.
    pub endpoint: String,
    /// Its version if it serves and knows a leader, else what is wrong.
    pub state: Result<String, String>,
}

/// A release of etcd, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `X.Y.Z` with or without a suffix.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+']).map(str::parse);
        Some(Self(
            parts.next()?.ok()?,
            parts.next()?.ok()?,
            parts.next()?.ok()?,
        ))
    }

    /// Whether a progress request is answered only after the events before it. Older releases answer past events
    /// that are still queued, so that a cache would believe itself current when it is not (etcd issues 15220 and
    /// 17507; kube-apiserver draws the line at the same releases).
    pub fn progress_is_ordered(self) -> bool {
        match self {
            Self(3, 4, patch) => patch >= 31,
            Self(3, 5, patch) => patch >= 13,
            other => other >= Self(3, 6, 0),
        }
    }
}

impl Client {
    /// Asks every member how it is.
    pub async fn health(&self) -> Vec<MemberHealth> {
        join_all(self.connections().iter().map(async |connection| {
            let state = status(connection).await.and_then(|status| {
                if status.leader == 0 {
                    Err("the member knows no leader".into())
                } else {
                    Ok(status.version)
                }
            });
            MemberHealth {
                endpoint: connection.url.clone(),
                state,
            }
        }))
        .await
    }
}

impl Client {
    /// Whether the member that answered last answers progress requests in order.
    pub(crate) async fn has_ordered_progress(&self) -> bool {
        let version = version(&self.connections()[self.preferred()]).await;
        version.is_some_and(Version::progress_is_ordered)
    }
}

/// The version of a member, if it says.
pub(crate) async fn version(connection: &Connection) -> Option<Version> {
    Version::parse(&status(connection).await.ok()?.version)
}

async fn status(connection: &Connection) -> Result<pb::StatusResponse, String> {
    let call = unary(connection, STATUS, pb::StatusRequest {});
    match timeout(READ_ATTEMPT_DEADLINE, call).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(status)) => Err(full_text(&status)),
        Err(_) => Err("no answer within the deadline".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn releases_with_ordered_progress() {
        for (text, ordered) in [
            ("3.4.23", false),
            ("3.4.31", true),
            ("3.5.12", false),
            ("3.5.13", true),
            ("3.6.0-rc.1", true),
            ("3.7.1", true),
            ("3.3.9", false),
            ("2.9.9", false),
            ("4.0.0", true),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(version.progress_is_ordered(), ordered, "{text}");
        }
        assert_eq!(Version::parse("unknown"), None);
    }
}
