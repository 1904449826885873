//! Watchers that follow everything through crashes, resuming behind the last revision they saw.

use super::PREFIX;
use super::history::{Digest, History, digests};
use crate::limits::CONVERGE_DEADLINE;
use crate::raw::{Raw, prefix_end};
use crate::wait::wait_until;
use mainstay_proto::etcdserverpb::{WatchCreateRequest, WatchResponse};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// Pause before a lost watch is opened on another member.
const PAUSE_BEFORE_RESUME: Duration = Duration::from_millis(20);
/// Opening a watch on a member that may be dead.
const OPEN_DEADLINE: Duration = Duration::from_secs(3);

/// What one watcher saw.
#[derive(Debug)]
struct Log {
    last: i64,
    seen: Vec<(i64, Digest)>,
    violation: Option<String>,
}

/// Watchers that run until this value is dropped.
#[derive(Debug)]
pub(super) struct Watchers {
    logs: Vec<Arc<Mutex<Log>>>,
    _tasks: JoinSet<()>,
}

impl Watchers {
    /// Starts watchers that expect the revision after `last` first.
    pub(super) fn start(count: usize, raws: &Arc<[Raw]>, last: i64) -> Self {
        let mut tasks = JoinSet::new();
        let logs = (0..count).map(|watcher| {
            let log = Log {
                last,
                seen: Vec::new(),
                violation: None,
            };
            let log = Arc::new(Mutex::new(log));
            tasks.spawn(follow(watcher, raws.clone(), log.clone()));
            log
        });
        Self {
            logs: logs.collect(),
            _tasks: tasks,
        }
    }

    /// Waits until every watcher has seen `revision`.
    pub(super) async fn reach(&self, revision: i64) {
        wait_until(
            "every watcher reaches the barrier",
            CONVERGE_DEADLINE,
            async || {
                self.logs
                    .iter()
                    .enumerate()
                    .all(|(watcher, log)| {
                        let log = lock(log);
                        assert!(
                            log.violation.is_none(),
                            "watcher {watcher}: {:?}",
                            log.violation
                        );
                        log.last >= revision
                    })
                    .then_some(())
            },
        )
        .await;
    }

    /// Compares what every watcher saw with the history, and lets them forget it.
    pub(super) fn check(&self, history: &History) {
        for (watcher, log) in self.logs.iter().enumerate() {
            let mut log = lock(log);
            assert!(
                log.violation.is_none(),
                "watcher {watcher}: {:?}",
                log.violation
            );
            // An unknown write may be carried out after the barrier; it belongs to the next round.
            let verified = log
                .seen
                .partition_point(|&(revision, _)| revision <= history.end());
            let later = log.seen.split_off(verified);
            let seen = std::mem::replace(&mut log.seen, later);
            drop(log);
            history.check_watcher(watcher, &seen);
        }
    }
}

async fn follow(watcher: usize, raws: Arc<[Raw]>, log: Arc<Mutex<Log>>) {
    let mut target = watcher % raws.len();
    loop {
        let outcome = watch(&raws[target], &log).await;
        if let Err(violation) = outcome {
            lock(&log).violation = Some(violation);
            return;
        }
        target = (target + 1) % raws.len();
        tokio::time::sleep(PAUSE_BEFORE_RESUME).await;
    }
}

/// Follows one member until the stream is lost. An error is a broken promise, not a lost connection.
async fn watch(raw: &Raw, log: &Mutex<Log>) -> Result<(), String> {
    let start_revision = lock(log).last + 1;
    let mut stream = raw.watch_stream();
    let request = WatchCreateRequest {
        key: PREFIX.into(),
        range_end: prefix_end(PREFIX.as_bytes()),
        start_revision,
        ..Default::default()
    };
    stream.create(request).await;
    match tokio::time::timeout(OPEN_DEADLINE, stream.next_or_end()).await {
        Ok(Ok(response)) if response.created && response.events.is_empty() => {}
        Ok(Ok(response)) => return Err(format!("not a Created response: {response:?}")),
        Ok(Err(_)) | Err(_) => return Ok(()),
    }
    while let Ok(response) = stream.next_or_end().await {
        record(response, &mut lock(log))?;
    }
    Ok(())
}

fn record(response: WatchResponse, log: &mut Log) -> Result<(), String> {
    if response.canceled || response.fragment {
        return Err(format!(
            "cancelled or fragmented at {}: {response:?}",
            log.last
        ));
    }
    for (revision, digest) in digests(&response.events) {
        if revision <= log.last {
            return Err(format!("revision {revision} after {}", log.last));
        }
        log.last = revision;
        log.seen.push((revision, digest));
    }
    Ok(())
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
