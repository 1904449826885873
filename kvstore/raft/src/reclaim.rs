//! Drops compacted history in the background, one thread per member.

use std::sync::{Arc, Weak};
use std::thread;

use mainstay_engine::{Engine, EngineError};
use mainstay_engine_rocks::RocksEngine;
use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
struct State {
    wanted: i64,
    done: i64,
    failed: Option<EngineError>,
    engine: Option<Weak<RocksEngine>>,
    stop: bool,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

/// Handle of the reclaiming thread; it ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Reclaimer {
    inner: Arc<Inner>,
}

impl Reclaimer {
    pub(crate) fn start(engine: &Arc<RocksEngine>) -> std::io::Result<Self> {
        let inner = Arc::new(Inner::default());
        inner.state.lock().engine = Some(Arc::downgrade(engine));
        let worker = Arc::clone(&inner);
        thread::Builder::new()
            .name("reclaim".into())
            .spawn(move || worker.run())?;
        Ok(Self { inner })
    }

    /// History superseded at or before `revision` may go; only the newest request counts.
    pub(crate) fn request(&self, revision: i64) {
        let mut state = self.inner.state.lock();
        state.wanted = state.wanted.max(revision);
        self.inner.changed.notify_all();
    }

    /// A snapshot replaced the database.
    pub(crate) fn switch(&self, engine: &Arc<RocksEngine>) {
        let mut state = self.inner.state.lock();
        state.engine = Some(Arc::downgrade(engine));
        state.done = state.wanted;
    }

    /// Blocks until history up to `revision` is gone from this member.
    pub(crate) fn wait(&self, revision: i64) -> Result<(), EngineError> {
        let mut state = self.inner.state.lock();
        while state.done < revision && !state.stop {
            if let Some(e) = &state.failed {
                return Err(e.clone());
            }
            self.inner.changed.wait(&mut state);
        }
        Ok(())
    }
}

impl Drop for Reclaimer {
    fn drop(&mut self) {
        self.inner.state.lock().stop = true;
        self.inner.changed.notify_all();
    }
}

impl Inner {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while state.done >= state.wanted && !state.stop {
                self.changed.wait(&mut state);
            }
            if state.stop {
                return;
            }
            let wanted = state.wanted;
            let engine = state.engine.as_ref().and_then(Weak::upgrade);
            drop(state);
            let result = engine.map_or(Ok(()), |engine| engine.reclaim(wanted));
            state = self.state.lock();
            state.done = state.done.max(wanted);
            if let Err(e) = result {
                tracing::error!("dropping compacted history failed: {e}");
                state.failed = Some(e);
            }
            self.changed.notify_all();
        }
    }
}
