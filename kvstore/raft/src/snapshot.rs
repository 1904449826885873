//! Snapshots of the state machine: checkpoints made while it goes on applying.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay_engine::Engine;
use openraft::RaftSnapshotBuilder;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::env::Env;
use crate::full::{engine_error, is_full};
use crate::records::read_meta;
use crate::repair::{Damage, Kind};
use crate::state_dir::{SnapshotDir, StateDir};
use crate::types::{Snapshot, SnapshotMeta, TypeConfig};

/// The snapshot that followers are sent, if one was made since the start.
#[derive(Debug, Default)]
pub(crate) struct Current {
    kept: Mutex<Option<(SnapshotMeta, Arc<SnapshotDir>)>>,
    /// The log below the last one is gone while none is kept: one must be made when it is asked for.
    owed: AtomicBool,
}

impl Current {
    pub(crate) fn get(&self) -> Option<Snapshot<Arc<SnapshotDir>>> {
        self.kept.lock().as_ref().map(|(meta, dir)| Snapshot {
            meta: meta.clone(),
            snapshot: Arc::clone(dir),
        })
    }

    fn keep(&self, meta: SnapshotMeta, dir: Arc<SnapshotDir>) {
        *self.kept.lock() = Some((meta, dir));
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.owed.load(Ordering::Acquire)
    }

    /// From here on one is made when it is asked for.
    pub(crate) fn replaced_by_received(&self) {
        self.owed.store(true, Ordering::Release);
        *self.kept.lock() = None;
    }

    /// Lets go of it where room is short: it holds on to every table that was merged since, as much again as the
    /// data. One that is being sent stays until then. What is returned is removed when it is dropped.
    pub(crate) fn give_up(&self) -> Option<impl Send + use<>> {
        let mut kept = self.kept.lock();
        if kept.is_some() {
            self.owed.store(true, Ordering::Release);
        }
        kept.take()
    }
}

/// Pause after a snapshot for which there was no room.
const SNAPSHOT_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Makes a checkpoint while the state machine goes on applying.
pub(crate) struct SnapshotBuilder<E: Env> {
    pub(crate) engine: Arc<E::Engine>,
    pub(crate) dir: Arc<StateDir>,
    pub(crate) env: E,
    pub(crate) current: Arc<Current>,
    pub(crate) damage: Arc<Damage>,
}

impl<E: Env> Clone for SnapshotBuilder<E> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            dir: Arc::clone(&self.dir),
            env: self.env.clone(),
            current: Arc::clone(&self.current),
            damage: Arc::clone(&self.damage),
        }
    }
}

impl<E: Env> std::fmt::Debug for SnapshotBuilder<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotBuilder")
    }
}

impl<E: Env> SnapshotBuilder<E> {
    /// A checkpoint is durable when it is made, so the log below it may go. Which log id it ends at
    /// is read from the checkpoint itself: applying went on meanwhile.
    fn build(&self) -> io::Result<(SnapshotMeta, SnapshotDir)> {
        self.engine.flush().map_err(engine_error)?;
        let snapshot = self.dir.new_snapshot();
        self.engine
            .checkpoint(snapshot.path())
            .map_err(engine_error)?;
        let (last_log_id, members) = {
            let copy = self
                .env
                .inspect_engine(snapshot.path())
                .map_err(engine_error)?;
            read_meta(&copy)?
        };
        Ok((
            SnapshotMeta {
                last_log_id,
                last_membership: members.stored,
            },
            snapshot,
        ))
    }
}

impl<E: Env> RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder<E> {
    type SnapshotData = Arc<SnapshotDir>;

    /// While the disk is too full for it, an attempt is given up as a whole and made again later.
    async fn build_snapshot(&mut self) -> Result<Snapshot<Arc<SnapshotDir>>, io::Error> {
        let (meta, dir) = loop {
            let this = self.clone();
            match self.env.blocking(move || this.build()).await? {
                Ok(built) => break built,
                Err(e) if is_full(&e) => {
                    tracing::warn!("no room for a snapshot: {e}");
                    drop(self.current.give_up());
                }
                Err(e) => {
                    // Its tables are those of the database.
                    self.damage.note(Kind::Engine, &e);
                    return Err(e);
                }
            }
            sleep(SNAPSHOT_RETRY_PAUSE).await;
        };
        let dir = Arc::new(dir);
        self.current.keep(meta.clone(), Arc::clone(&dir));
        Ok(Snapshot {
            meta,
            snapshot: dir,
        })
    }
}
