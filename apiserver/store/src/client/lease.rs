//! Leases that end objects after a while, shared by many objects.

use super::calls::{Client, Effect};
use super::failure::Failure;
use crate::limits::{LEASE_BUCKETS_MAX, LEASE_OBJECTS_MAX, LEASE_REUSE_MAX, LEASE_REUSE_PERCENT};
use mainstay_proto::etcdserverpb as pb;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";

impl Client {
    /// Grants a lease. If the outcome is unknown, a lease nobody uses may exist until its time is up.
    pub async fn grant_lease(&self, ttl: Duration) -> Result<i64, Failure> {
        let ttl = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        let request = pb::LeaseGrantRequest { ttl, id: 0 };
        let answer: pb::LeaseGrantResponse = self.call(Effect::Write, GRANT, request).await?;
        if answer.error.is_empty() {
            Ok(answer.id)
        } else {
            Err(Failure::Refused(answer.error))
        }
    }

    /// Ends a lease and every key that hangs on it.
    pub async fn revoke_lease(&self, id: i64) -> Result<(), Failure> {
        let request = pb::LeaseRevokeRequest { id };
        let _: pb::LeaseRevokeResponse = self.call(Effect::Write, REVOKE, request).await?;
        Ok(())
    }
}

/// Leases for objects with a time to live, such as events: one lease serves all objects of about a minute.
///
/// An object lives at least as long as asked for, and at most as much longer as its lease is shared.
#[derive(Debug)]
pub struct LeasePool {
    client: Client,
    buckets: Mutex<Vec<Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    ttl: Duration,
    id: i64,
    until: Instant,
    objects: u32,
}

impl LeasePool {
    /// An empty pool.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            buckets: Mutex::new(Vec::new()),
        }
    }

    /// A lease for one more object that is to live for `ttl`.
    pub async fn lease(&self, ttl: Duration) -> Result<i64, Failure> {
        // Held during the grant on purpose: a burst of objects shares the one lease that is being granted.
        let mut buckets = self.buckets.lock().await;
        let now = Instant::now();
        buckets.retain(|bucket| bucket.until > now && bucket.objects < LEASE_OBJECTS_MAX);
        if let Some(bucket) = buckets.iter_mut().find(|bucket| bucket.ttl == ttl) {
            bucket.objects += 1;
            return Ok(bucket.id);
        }
        let shared = reuse(ttl);
        // A part of a second would be lost, and the object with it too early.
        let lifetime = Duration::from_secs((ttl + shared).as_secs() + 1);
        let id = self.client.grant_lease(lifetime).await?;
        if buckets.len() == LEASE_BUCKETS_MAX {
            buckets.remove(0);
        }
        buckets.push(Bucket {
            ttl,
            id,
            until: now + shared,
            objects: 1,
        });
        Ok(id)
    }

    /// Forgets a lease that the store says does not exist (it was revoked, or the store restored from a backup).
    pub async fn forget(&self, id: i64) {
        self.buckets.lock().await.retain(|bucket| bucket.id != id);
    }
}

/// How long a lease is handed out to further objects.
fn reuse(ttl: Duration) -> Duration {
    LEASE_REUSE_MAX.min(ttl * LEASE_REUSE_PERCENT / 100)
}

#[cfg(test)]
mod tests {
    use super::reuse;
    use std::time::Duration;

    #[test]
    fn short_leases_are_shared_shortly() {
        let seconds = Duration::from_secs;
        assert_eq!(reuse(seconds(3600)), seconds(60));
        assert_eq!(reuse(seconds(100)), seconds(5));
        assert_eq!(reuse(seconds(0)), seconds(0));
    }
}
