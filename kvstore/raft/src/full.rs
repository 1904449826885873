//! Patience with a full disk: work that cannot go on waits for room instead of ending the member.

use std::io;
use std::time::Duration;

use mainstay_engine::EngineError;
use mainstay_mvcc::MvccError;
use tokio::time::sleep;

use crate::limits::FULL_RETRY_PAUSE;

/// Keeps the one kind of failure that may pass.
pub(crate) fn engine_error(e: EngineError) -> io::Error {
    match e {
        EngineError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, e),
        other => io::Error::other(other),
    }
}

/// The same for the store.
pub(crate) fn store_error(e: MvccError) -> io::Error {
    match e {
        MvccError::Engine(e) => engine_error(e),
        other => io::Error::other(other),
    }
}

pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Waits between two attempts while a disk is full, and says so once.
#[derive(Debug)]
pub(crate) struct Patience {
    what: &'static str,
    attempts: u32,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            attempts: 0,
            pause: FULL_RETRY_PAUSE,
        }
    }

    /// Returns when it is time for another attempt, or with the error if it is not one that passes.
    pub(crate) async fn after(&mut self, e: io::Error) -> io::Result<()> {
        if !is_full(&e) {
            return Err(e);
        }
        if self.attempts == 0 {
            tracing::warn!("the disk is full: {} waits for room ({e})", self.what);
        }
        self.attempts += 1;
        sleep(self.pause).await;
        Ok(())
    }

    /// To be called when the work is done.
    pub(crate) fn over(&self) {
        if self.attempts > 0 {
            tracing::info!("there is room again: {} goes on", self.what);
        }
    }
}

/// Repeats `work` while it says that the disk is full.
pub(crate) async fn with_patience<T>(
    what: &'static str,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut patience = Patience::new(what);
    loop {
        match work() {
            Ok(done) => {
                patience.over();
                return Ok(done);
            }
            Err(e) => patience.after(e).await?,
        }
    }
}
