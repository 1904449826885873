//! Which cluster this member belongs to: the one its data directory names, the one its flags found, or the one it
//! is told to join.

use crate::config::Config;
use crate::os::OsEnv;
use crate::urls::ListenUrl;
use mainstay_raft::{InitialMember, RemoteCluster, fetch_members, ident};

/// Ids and first members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Founding {
    pub(super) member_id: u64,
    pub(super) cluster_id: u64,
    pub(super) members: Vec<InitialMember>,
}

/// From `--initial-cluster`.
pub(super) fn from_flags(config: &Config) -> Founding {
    let members: Vec<InitialMember> = config
        .initial_cluster
        .iter()
        .map(|(name, urls)| {
            let peer_urls = texts(urls);
            let id = ident::member_id(&peer_urls, &config.cluster_token, None);
            InitialMember {
                id,
                name: name.clone(),
                peer_urls,
            }
        })
        .collect();
    let ids: Vec<u64> = members.iter().map(|member| member.id).collect();
    let own = members.iter().find(|member| member.name == config.name);
    Founding {
        member_id: own.map_or(0, |member| member.id),
        cluster_id: ident::cluster_id(&ids),
        members,
    }
}

/// From the members of a running cluster, which must already count this one.
pub(super) async fn from_peers(config: &Config, env: &OsEnv) -> Result<Founding, String> {
    let others: Vec<String> = config
        .initial_cluster
        .iter()
        .filter(|(name, _)| **name != config.name)
        .flat_map(|(_, urls)| texts(urls))
        .collect();
    let cluster = fetch_members(env, &others)
        .await
        .map_err(|error| error.to_string())?;
    joined(config, &cluster)
}

fn joined(config: &Config, cluster: &RemoteCluster) -> Result<Founding, String> {
    let own_urls = texts(&config.advertise_peer_urls);
    let matches = |urls: &[String]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls == own_urls
    };
    let own = cluster.members.iter().find(|member| matches(&member.peer_urls)).ok_or_else(|| {
        format!(
            "error validating peerURLs: the cluster has no member with --initial-advertise-peer-urls={}; \
             add it first",
            own_urls.join(",")
        )
    })?;
    let given = config.initial_cluster.len();
    let there = cluster.members.len();
    if given != there {
        return Err(format!(
            "error validating peerURLs: member count is unequal: --initial-cluster has {given}, the cluster has {there}"
        ));
    }
    let members = cluster
        .members
        .iter()
        .map(|m| InitialMember {
            id: m.id,
            name: m.name.clone(),
            peer_urls: m.peer_urls.clone(),
        })
        .collect();
    Ok(Founding {
        member_id: own.id,
        cluster_id: cluster.cluster_id,
        members,
    })
}

/// The URLs as text, sorted: ids depend on it.
pub(super) fn texts(urls: &[ListenUrl]) -> Vec<String> {
    let mut texts: Vec<String> = urls.iter().map(|url| url.text.clone()).collect();
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Outcome, parse};
    use mainstay_proto::etcdserverpb::Member;

    fn config(extra: &[&str]) -> Config {
        let flags = [
            "--name=m1",
            "--initial-cluster=m1=http://127.0.0.1:2380,m2=http://127.0.0.2:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        ];
        let arguments = flags.iter().chain(extra).map(|a| (*a).to_owned());
        match parse(arguments, []) {
            Ok(Outcome::Run(values)) => Config::build(&values, false).unwrap(),
            other => panic!("expected values, got {other:?}"),
        }
    }

    #[test]
    fn ids_depend_on_urls_and_token_only() {
        let one = from_flags(&config(&[]));
        assert_eq!(one.members.len(), 2);
        assert_eq!(one.member_id, one.members[0].id);
        let other = from_flags(&config(&["--initial-cluster-token=other"]));
        assert_ne!(
            (one.member_id, one.cluster_id),
            (other.member_id, other.cluster_id)
        );
    }

    #[test]
    fn joining_needs_to_be_counted_already() {
        let member = |id, url: &str| Member {
            id,
            peer_urls: vec![url.to_owned()],
            ..Member::default()
        };
        let mut cluster = RemoteCluster {
            cluster_id: 7,
            members: vec![
                member(2, "http://127.0.0.2:2380"),
                member(3, "http://127.0.0.3:2380"),
            ],
        };
        let error = joined(&config(&[]), &cluster).unwrap_err();
        assert!(error.contains("http://127.0.0.1:2380"), "{error}");
        cluster.members[1] = member(1, "http://127.0.0.1:2380");
        let founding = joined(&config(&[]), &cluster).unwrap();
        assert_eq!((founding.member_id, founding.cluster_id), (1, 7));
        cluster.members.push(member(3, "http://127.0.0.3:2380"));
        assert!(
            joined(&config(&[]), &cluster)
                .unwrap_err()
                .contains("member count is unequal")
        );
    }
}
