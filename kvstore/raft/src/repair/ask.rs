//! Asking the peers for repair, as a member without Raft.

use std::io;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Case, RepairRequest};
use crate::codec::Reader;
use crate::env::Env;
use crate::error::Error;
use crate::limits::REPAIR_ASK_TIMEOUT;
use crate::peer::{Call, CallError, Conn, RemoteCluster, call_as_stranger, connect};

/// The cluster has let go of the member's former self and waits for the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub member_id: u64,
    pub cluster_id: u64,
    /// The log index from which on the member may serve.
    pub serves_from: u64,
}

/// Why there is no repair yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody could be asked: there are no peers.
    #[error("there are no peers to repair it from")]
    Alone,
    /// The cluster does not count this member.
    #[error("the cluster does not know this member (any more)")]
    NotAMember,
    /// Nobody could be reached, or the cluster has no quorum at present.
    #[error("{0}")]
    NotNow(String),
}

/// Asks the peers at `peer_urls`, one after the other, once. `own_urls` tell who this member is when its
/// identity is lost.
pub async fn ask<E: Env>(
    env: &E,
    case: &Case,
    peer_urls: &[String],
    own_urls: &[String],
) -> Result<Granted, AskError> {
    let mut last = AskError::Alone;
    for url in peer_urls.iter().filter(|url| !own_urls.contains(url)) {
        let asking = timeout(REPAIR_ASK_TIMEOUT, ask_one(env, case, url, own_urls));
        match asking.await {
            Ok(Ok(granted)) => return Ok(granted),
            // Another one may know more.
            Ok(Err(e)) => last = e,
            Err(_) => last = AskError::NotNow(format!("{url} did not answer in time")),
        }
    }
    Err(last)
}

async fn ask_one<E: Env>(
    env: &E,
    case: &Case,
    url: &str,
    own_urls: &[String],
) -> Result<Granted, AskError> {
    let failed = |e: io::Error| AskError::NotNow(format!("{url}: {e}"));
    let mut io = connect(env, &[url.to_owned()]).await.map_err(failed)?;
    call_as_stranger(&mut io).await.map_err(failed)?;
    let conn = Conn::start(io, None);
    let body = conn.call(Call::Members, Bytes::new()).await;
    let body = body.map_err(|e| failed(io::Error::other(e)))?;
    let cluster = RemoteCluster::decode(body).map_err(|e| failed(io::Error::other(e)))?;
    if cluster.members.is_empty() {
        return Err(AskError::NotNow(format!("{url} knows no members yet")));
    }
    let id = find(&cluster, case, own_urls).ok_or(AskError::NotAMember)?;
    let request = RepairRequest {
        cluster_id: cluster.cluster_id,
        id,
        incarnation: case.incarnation,
        former: case.former.map(|former| former.incarnation),
    };
    match conn.call(Call::Repair, request.encode()).await {
        Ok(body) => {
            let index = Reader::new(body, "repair answer").u64();
            Ok(Granted {
                member_id: id,
                cluster_id: cluster.cluster_id,
                serves_from: index.map_err(|e| failed(io::Error::other(e)))?,
            })
        }
        Err(CallError::Remote(Error::MemberNotFound)) => Err(AskError::NotAMember),
        Err(e) => Err(failed(io::Error::other(e))),
    }
}

/// This member among those of a cluster: by its id, or by where it listens for peers.
fn find(cluster: &RemoteCluster, case: &Case, own_urls: &[String]) -> Option<u64> {
    if let Some(former) = case.former {
        let there = cluster.members.iter().any(|m| m.id == former.member_id);
        return (there && cluster.cluster_id == former.cluster_id).then_some(former.member_id);
    }
    let mut own = own_urls.to_vec();
    own.sort();
    let mine = cluster.members.iter().find(|member| {
        let mut urls = member.peer_urls.clone();
        urls.sort();
        urls == own
    });
    mine.map(|member| member.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::repair::Kind;
    use mainstay_proto::etcdserverpb::Member;

    #[test]
    fn a_member_finds_itself_by_id_or_by_its_urls() {
        let member = |id, urls: &[&str]| Member {
            id,
            peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            ..Member::default()
        };
        let cluster = RemoteCluster {
            cluster_id: 7,
            members: vec![
                member(1, &["http://a:1"]),
                member(2, &["http://c:1", "http://b:1"]),
            ],
        };
        let former = Identity {
            member_id: 1,
            cluster_id: 7,
            incarnation: 3,
            serves_from: 0,
        };
        let mut case = Case {
            kind: Kind::Log,
            what: String::new(),
            incarnation: 9,
            former: Some(former),
        };
        let own = ["http://b:1".to_owned(), "http://c:1".to_owned()];
        assert_eq!(find(&cluster, &case, &own), Some(1));
        case.former = None;
        assert_eq!(find(&cluster, &case, &own), Some(2));
        assert_eq!(find(&cluster, &case, &own[..1]), None);
        case.former = Some(Identity {
            cluster_id: 8,
            ..former
        });
        assert_eq!(find(&cluster, &case, &own), None);
    }
}
