//! Patience with a disk that is full or behind: work that cannot go on waits instead of ending the member.

use std::io;

use mainstay_engine::EngineError;
use mainstay_mvcc::MvccError;
use tokio::time::sleep;

use crate::limits::{FULL_RETRY_PAUSE, STALL_RETRY_PAUSE};

/// Keeps the kinds of failures that may pass.
pub(crate) fn engine_error(e: EngineError) -> io::Error {
    match e {
        EngineError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, e),
        EngineError::Stalled(_) => io::Error::new(io::ErrorKind::WouldBlock, e),
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

/// Waits between two attempts while a disk is full or behind, and says so once.
#[derive(Debug)]
pub(crate) struct Patience {
    what: &'static str,
    told: bool,
}

impl Patience {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, told: false }
    }

    /// Returns when it is time for another attempt, or with the error if it is not one that passes.
    pub(crate) async fn after(&mut self, e: io::Error) -> io::Result<()> {
        let pause = match is_full(&e) {
            true => FULL_RETRY_PAUSE,
            false if e.kind() == io::ErrorKind::WouldBlock => STALL_RETRY_PAUSE,
            false => return Err(e),
        };
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!("the disk is full or behind: {} waits ({e})", self.what);
        }
        sleep(pause).await;
        Ok(())
    }

    /// To be called when the work is done.
    pub(crate) fn over(&self) {
        if self.told {
            tracing::info!("the disk has room and time again: {} goes on", self.what);
        }
    }
}

/// Repeats `work` while it says that the disk is full or behind.
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
