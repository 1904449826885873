//! Sees everything that happens below the servers' prefix in the store, from the first revision on.

use super::journal::Journal;
use super::object;
use super::run::PREFIX;
use crate::limits::{PAUSE_AFTER_FAILURE, WITNESS_SILENCE};
use bytes::Bytes;
use mainstay_check::api::{ApiRecord, Change};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::Raw;
use mainstay_tests::raw::{Watches, prefix_end};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A running witness: it asks one member after the other.
#[derive(Debug)]
pub(super) struct Witness {
    /// Up to which revision it has seen everything; -1 when it cannot any more.
    pub(super) seen: watch::Receiver<i64>,
    task: JoinHandle<()>,
}

impl Witness {
    pub(super) fn start(urls: Vec<String>, journal: Journal) -> Self {
        let (sender, seen) = watch::channel(0);
        let task = tokio::spawn(follow(urls, journal, sender));
        Self { seen, task }
    }

    /// Waits until everything up to a revision was seen.
    pub(super) async fn wait(&mut self, revision: i64, limit: Duration) -> bool {
        let arrived = self.seen.wait_for(|seen| *seen < 0 || *seen >= revision);
        matches!(timeout(limit, arrived).await, Ok(Ok(seen)) if *seen >= 0)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(urls: Vec<String>, journal: Journal, seen: watch::Sender<i64>) {
    let mut next = 1;
    for url in urls.iter().cycle() {
        let raw = Raw::connect(url, None);
        let stream = raw.watch_stream();
        let request = pb::WatchCreateRequest {
            key: Bytes::from_static(PREFIX.as_bytes()),
            range_end: prefix_end(PREFIX.as_bytes()),
            start_revision: next,
            progress_notify: true,
            ..Default::default()
        };
        stream.create(request).await;
        if !read(stream, &mut next, &journal, &seen).await {
            seen.send_replace(-1);
            return;
        }
        sleep(PAUSE_AFTER_FAILURE).await;
    }
}

/// Reads one stream to its end; `false` when what comes next is compacted.
async fn read(
    mut stream: Watches,
    next: &mut i64,
    journal: &Journal,
    seen: &watch::Sender<i64>,
) -> bool {
    // A member that is cut off or stands still says nothing: another one knows more.
    while let Ok(Ok(response)) = timeout(WITNESS_SILENCE, stream.next_or_end()).await {
        if response.canceled {
            return response.compact_revision == 0;
        }
        if response.created {
            continue;
        }
        let mut upto = match response.events.is_empty() {
            true => response.header.map_or(0, |header| header.revision),
            false => 0,
        };
        for event in response.events {
            let deleted = event.r#type() == mainstay_proto::mvccpb::event::EventType::Delete;
            let Some(kv) = event.kv else { continue };
            upto = kv.mod_revision;
            if kv.mod_revision < *next {
                continue;
            }
            let key = String::from_utf8_lossy(&kv.key[PREFIX.len()..]).into_owned();
            let after = (!deleted).then(|| object::state(&key, &kv.value));
            let revision = kv.mod_revision;
            let change = Change {
                revision,
                key,
                after,
            };
            journal.record(ApiRecord::Change(change)).await;
        }
        *next = (*next).max(upto + 1);
        seen.send_replace(*next - 1);
    }
    true
}
