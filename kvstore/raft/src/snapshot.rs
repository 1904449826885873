//! Snapshots of the state machine: checkpoints made while it goes on applying.

use std::io;
use std::sync::Arc;

use mainstay_engine::Engine;
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use openraft::RaftSnapshotBuilder;
use parking_lot::Mutex;

use crate::records::read_meta;
use crate::state_dir::{SnapshotDir, StateDir};
use crate::types::{Snapshot, SnapshotMeta, TypeConfig};

/// The snapshot that followers are sent, if one was made since the start.
pub(crate) type Current = Arc<Mutex<Option<(SnapshotMeta, Arc<SnapshotDir>)>>>;

/// Makes a checkpoint while the state machine goes on applying.
pub(crate) struct SnapshotBuilder {
    pub(crate) engine: Arc<RocksEngine>,
    pub(crate) dir: Arc<StateDir>,
    pub(crate) options: RocksOptions,
    pub(crate) current: Current,
}

impl std::fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotBuilder")
    }
}

/// Small: the copy is opened only to be asked for its log id.
fn inspection() -> RocksOptions {
    RocksOptions {
        block_cache_bytes: 1 << 20,
        memtables_bytes: 1 << 20,
        must_exist: true,
    }
}

impl SnapshotBuilder {
    /// A checkpoint is durable when it is made, so the log below it may go. Which log id it ends at
    /// is read from the checkpoint itself: applying went on meanwhile.
    fn build(&self) -> io::Result<(SnapshotMeta, SnapshotDir)> {
        self.engine.flush().map_err(io::Error::other)?;
        let snapshot = self.dir.new_snapshot();
        self.engine
            .checkpoint(snapshot.path())
            .map_err(io::Error::other)?;
        let (last_log_id, members) = {
            let copy =
                RocksEngine::open(snapshot.path(), &inspection()).map_err(io::Error::other)?;
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

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Arc<SnapshotDir>;

    async fn build_snapshot(&mut self) -> Result<Snapshot<Arc<SnapshotDir>>, io::Error> {
        let this = SnapshotBuilder {
            engine: Arc::clone(&self.engine),
            dir: Arc::clone(&self.dir),
            options: self.options.clone(),
            current: Arc::clone(&self.current),
        };
        let (meta, dir) = tokio::task::spawn_blocking(move || this.build())
            .await
            .map_err(io::Error::other)??;
        let dir = Arc::new(dir);
        *self.current.lock() = Some((meta.clone(), Arc::clone(&dir)));
        Ok(Snapshot {
            meta,
            snapshot: dir,
        })
    }
}
