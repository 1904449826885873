//! Ctrl-C and termination: a flag that every loop looks at, so that servers and folders are cleaned up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::limits::POLL_MAX;

static REQUESTED: AtomicBool = AtomicBool::new(false);

#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// Whether the program was asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Sleeps, and ends early when the program is asked to stop.
///
/// # Errors
/// [`Interrupted`].
pub(crate) fn rest(time: Duration) -> Result<(), Interrupted> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if requested() {
            return Err(Interrupted);
        }
        thread::sleep(POLL_MAX.min(time));
    }
    Ok(())
}

/// Starts a thread that waits for SIGINT, SIGTERM and SIGHUP.
///
/// # Errors
/// If no handler can be installed.
pub(crate) fn install() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let guard = runtime.enter();
    let mut int = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut term = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut hup = signal(SignalKind::hangup()).context("SIGHUP")?;
    drop(guard);
    let wait = move || {
        runtime.block_on(async {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
            REQUESTED.store(true, Ordering::Relaxed);
            // The first signal lets the loops clean up; all of them look at the flag often.
            std::future::pending::<()>().await;
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)?;
    Ok(())
}
