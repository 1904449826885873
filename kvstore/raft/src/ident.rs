//! etcd's rule for member and cluster ids.
//!
//! A member's id is the first eight bytes (big endian) of SHA-1 over its sorted peer URLs and the
//! cluster token, followed for members added to a running cluster by the decimal Unix time of the
//! addition; the cluster's id is SHA-1 over the big-endian sorted member ids (etcd,
//! server/etcdserver/api/membership).

use sha1::{Digest, Sha1};

/// The id of a member. `unix_seconds` is set for members added to a running cluster.
#[must_use]
pub fn member_id(peer_urls: &[String], token: &str, unix_seconds: Option<i64>) -> u64 {
    let mut urls = peer_urls.to_vec();
    urls.sort();
    let mut hash = Sha1::new();
    hash.update(urls.concat().as_bytes());
    hash.update(token.as_bytes());
    if let Some(seconds) = unix_seconds {
        hash.update(seconds.to_string().as_bytes());
    }
    first_eight(&hash.finalize())
}

/// The id of a cluster from the ids of its first members.
#[must_use]
pub fn cluster_id(member_ids: &[u64]) -> u64 {
    let mut ids = member_ids.to_vec();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    for id in ids {
        hash.update(id.to_be_bytes());
    }
    first_eight(&hash.finalize())
}

fn first_eight(digest: &[u8]) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcd 3.4 answers for its documented defaults.
    #[test]
    fn ids_equal_those_of_etcd() {
        let id = member_id(&["http://localhost:2380".into()], "etcd-cluster", None);
        assert_eq!(format!("{id:x}"), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster_id(&[id])), "cdf818194e3a8c32");
    }

    #[test]
    fn order_of_urls_does_not_matter_and_time_does() {
        let (a, b) = ("http://a:1".to_owned(), "http://b:2".to_owned());
        let forward = member_id(&[a.clone(), b.clone()], "t", None);
        assert_eq!(forward, member_id(&[b.clone(), a.clone()], "t", None));
        assert_ne!(forward, member_id(&[a, b], "t", Some(1)));
    }
}
