//! Ends of processes: of those that were started here, and in a host also of all that nobody else waits for.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The only one that waits for processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaper {
    waiting: Arc<Mutex<Waiting>>,
}

type Waiting = HashMap<u32, oneshot::Sender<String>>;

impl Reaper {
    /// Starts a process; how it ended is told later.
    pub(crate) fn start(
        &self,
        command: &mut Command,
    ) -> io::Result<(u32, oneshot::Receiver<String>)> {
        // Held while it starts: its end cannot be found before it is known, nor be taken from a start that fails.
        let mut waiting = self.lock();
        let pid = command.spawn()?.id();
        let (told, ended) = oneshot::channel();
        waiting.insert(pid, told);
        Ok((pid, ended))
    }

    /// Waits for ends, for ever.
    pub(crate) async fn work(self) -> io::Result<()> {
        let mut children = signal(SignalKind::child())?;
        loop {
            self.reap();
            children.recv().await;
        }
    }

    fn reap(&self) {
        let mut waiting = self.lock();
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Ok(pid) = u32::try_from(pid.as_raw_nonzero().get()) else {
                continue;
            };
            let Some(told) = waiting.remove(&pid) else {
                continue;
            };
            let how = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "for no reason that is known".to_owned(),
            };
            // Whoever does not want to know has gone.
            let _ = told.send(how);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
