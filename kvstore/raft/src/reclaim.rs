//! Drops compacted history in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mainstay_engine::{Engine, EngineError};
use mainstay_planted::{Bug, has};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::env::Env;
use crate::error::Error;
use crate::state_machine::Shared;

/// Pause after an attempt for which there was no room.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How far reclaiming has come.
#[derive(Clone, Debug, Default)]
struct Progress {
    done: i64,
    failed: Option<String>,
}

/// Takes requests; the work is done by the task [`Reclaimer::run`].
#[derive(Debug)]
pub(crate) struct Reclaimer<E: Env> {
    wanted: watch::Sender<i64>,
    progress: watch::Sender<Progress>,
    engine: Mutex<Latest<E::Engine>>,
}

/// The database in use; its owner may close it at any time.
struct Latest<T>(Weak<T>);

impl<T> std::fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Latest")
    }
}

impl<E: Env> Reclaimer<E> {
    pub(crate) fn new(engine: &Arc<E::Engine>) -> Self {
        Self {
            wanted: watch::channel(0).0,
            progress: watch::channel(Progress::default()).0,
            engine: Mutex::new(Latest(Arc::downgrade(engine))),
        }
    }

    /// History superseded at or before `revision` may go; only the newest request counts.
    pub(crate) fn request(&self, revision: i64) {
        let revision = revision + i64::from(has(Bug::WrongCompactionEdge));
        self.wanted.send_if_modified(|wanted| {
            let newer = revision > *wanted;
            *wanted = revision.max(*wanted);
            newer
        });
    }

    /// Returns when nothing is left to be dropped.
    pub(crate) async fn idle(&self) {
        let wanted = *self.wanted.borrow();
        let mut progress = self.progress.subscribe();
        // The sender lives as long as this.
        let _ = progress.wait_for(|p| p.done >= wanted).await;
    }

    /// A snapshot replaced the database, which then has nothing left to drop.
    pub(crate) fn switch(&self, engine: &Arc<E::Engine>) {
        self.engine.lock().0 = Arc::downgrade(engine);
        let wanted = *self.wanted.borrow();
        self.finish(wanted, None);
    }

    /// Returns when history up to `revision`, which is compacted, is gone from this member.
    pub(crate) async fn wait(&self, revision: i64) -> Result<(), Error> {
        // It may have been compacted by an earlier process, which did not finish.
        self.request(revision);
        let mut progress = self.progress.subscribe();
        let end = progress.wait_for(|p| p.done >= revision || p.failed.is_some());
        match end.await {
            Ok(p) if p.done >= revision => Ok(()),
            Ok(p) => Err(Error::Fatal(p.failed.clone().unwrap_or_default())),
            Err(_) => Err(Error::Stopped),
        }
    }

    fn finish(&self, revision: i64, failed: Option<String>) {
        self.progress.send_modify(|p| {
            p.done = p.done.max(revision);
            p.failed = p.failed.take().or(failed);
        });
    }

    /// Reclaims what is requested, one request after the other. Where room is short, the snapshot must not keep
    /// what is merged away.
    pub(crate) async fn run(&self, env: &E, shared: &Shared<E>) {
        let mut requests = self.wanted.subscribe();
        let mut full = false;
        loop {
            let done = self.progress.borrow().done;
            let Ok(wanted) = requests.wait_for(|wanted| *wanted > done).await.map(|w| *w) else {
                return;
            };
            let engine = self.engine.lock().0.upgrade();
            let short = full || shared.space.is_low();
            let snapshot = short.then(|| shared.snapshot.give_up());
            let result = env
                .blocking(move || {
                    drop(snapshot);
                    engine.map_or(Ok(()), |engine| engine.reclaim(wanted))
                })
                .await;
            full = matches!(result, Ok(Err(EngineError::Full(_))));
            let failed = match result {
                Ok(Ok(())) => None,
                Ok(Err(e @ EngineError::Full(_))) => {
                    tracing::debug!("no room to drop compacted history: {e}");
                    sleep(RETRY_PAUSE).await;
                    continue;
                }
                Ok(Err(e)) => Some(e.to_string()),
                Err(e) => Some(e.to_string()),
            };
            if let Some(e) = &failed {
                tracing::error!("dropping compacted history failed: {e}");
            }
            self.finish(wanted, failed);
        }
    }
}
