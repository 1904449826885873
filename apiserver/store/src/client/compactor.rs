//! Lets the store forget old revisions, by one of several processes that all would.

use super::calls::Client;
use super::failure::Failure;
use super::stored::{Created, Updated};
use crate::limits::COMPACT_INTERVAL;
use bytes::Bytes;
use tokio::time::sleep;

/// The key kube-apiserver uses for the same purpose, so that theirs and ours take turns.
const KEY: &[u8] = b"compact_rev_key";

/// Compacts what is older than one interval. Every process runs one; a guarded write of one key each interval decides
/// which of them acts, and the others only take note.
#[derive(Debug)]
pub struct Compactor {
    client: Client,
    /// Revision of the key when this process last saw it; 0 before it did.
    mark: i64,
}

impl Compactor {
    /// A compactor that has seen nothing yet.
    pub fn new(client: Client) -> Self {
        Self { client, mark: 0 }
    }

    /// Runs for as long as the process. A failure is tried again after the next interval.
    pub async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(Some(revision)) => tracing::debug!(revision, "compacted"),
                Ok(None) => {}
                Err(failure) => tracing::warn!(%failure, "the store was not compacted"),
            }
            sleep(COMPACT_INTERVAL).await;
        }
    }

    /// One turn. Returns the revision that was compacted, if this process did it.
    pub async fn step(&mut self) -> Result<Option<i64>, Failure> {
        let key = Bytes::from_static(KEY);
        let before = self.mark;
        if before == 0 {
            // Nothing is known of the last interval: only mark its beginning.
            self.mark = match self.client.create(key, Bytes::new(), 0).await? {
                Created::Done(revision) => revision,
                Created::Exists(found) => found.revision,
            };
            return Ok(None);
        }
        let value = Bytes::from(before.to_string());
        match self.client.update(key, before, value, 0).await? {
            Updated::Conflict(found) => {
                self.mark = found.map_or(0, |stored| stored.revision);
                Ok(None)
            }
            Updated::Done(revision) => {
                self.mark = revision;
                match self.client.compact(before).await {
                    // Somebody compacts more eagerly.
                    Ok(()) | Err(Failure::Compacted) => Ok(Some(before)),
                    Err(failure) => Err(failure),
                }
            }
        }
    }
}
