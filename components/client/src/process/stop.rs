//! The announcement that the process ends.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Tells everybody once that the process ends. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    announced: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            announced: watch::channel(false).0,
        }
    }
}

impl Stop {
    /// Announces the end.
    pub fn announce(&self) {
        self.announced.send_replace(true);
    }

    /// Waits for the announcement.
    pub async fn announced(&self) {
        // The sender lives as long as this.
        let _ = self.announced.subscribe().wait_for(|stop| *stop).await;
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
