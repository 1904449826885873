//! One process that is to run always.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::log::Log;
use super::reaper::Reaper;
use super::service::{Service, Status};
use crate::limits::{RESTART_PAUSE_MAX, RESTART_PAUSE_MIN, SERVICE_STOP_PATIENCE, STEADY_AFTER};

/// Keeps it running while it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) service: Service,
    log: PathBuf,
    reaper: Reaper,
    wanted: watch::Sender<bool>,
    state: Arc<Mutex<State>>,
    task: Arc<OnceLock<AbortHandle>>,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<u32>,
    started: Option<Instant>,
    starts: u64,
    ended: Option<String>,
}

impl Keeper {
    /// Begins to keep it.
    pub(crate) fn start(service: Service, log: PathBuf, reaper: Reaper) -> Self {
        let keeper = Self {
            service,
            log,
            reaper,
            wanted: watch::channel(true).0,
            state: Arc::default(),
            task: Arc::default(),
        };
        let task = tokio::spawn(keeper.clone().keep()).abort_handle();
        let _ = keeper.task.set(task);
        keeper
    }

    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.send_replace(wanted);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    pub(crate) fn status(&self) -> Status {
        let state = self.state();
        Status {
            name: self.service.name.clone(),
            pid: state.pid,
            wanted: *self.wanted.borrow(),
            restarts: state.starts.saturating_sub(1),
            seconds: state.started.map_or(0, |at| at.elapsed().as_secs()),
            ended: state.ended.clone(),
        }
    }

    /// Tells it to end, and makes it after its time.
    pub(crate) async fn stop(&self) {
        self.want(false);
        let begun = Instant::now();
        while self.state().pid.is_some() {
            if begun.elapsed() > SERVICE_STOP_PATIENCE {
                self.kill();
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it for good.
    pub(crate) async fn retire(&self) {
        self.stop().await;
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    async fn keep(self) {
        let mut wanted = self.wanted.subscribe();
        let mut pause = RESTART_PAUSE_MIN;
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            let begun = Instant::now();
            let ended = match self.spawn() {
                Ok((_, mut ended)) => {
                    let how = tokio::select! {
                        how = &mut ended => how,
                        () = unwanted(&mut wanted) => {
                            self.signal(Signal::TERM);
                            ended.await
                        }
                    };
                    how.unwrap_or_else(|_| "unknown".to_owned())
                }
                Err(error) => format!("{}: {error}", self.service.program),
            };
            if *wanted.borrow() {
                tracing::warn!(name = self.service.name, %ended, "a process ended");
            }
            self.note_end(ended);
            if begun.elapsed() > STEADY_AFTER {
                pause = RESTART_PAUSE_MIN;
            }
            // Whoever wants it stopped and started again need not wait.
            let _ = timeout(pause, unwanted(&mut wanted)).await;
            pause = (pause * 2).min(RESTART_PAUSE_MAX);
        }
    }

    fn spawn(&self) -> io::Result<(u32, tokio::sync::oneshot::Receiver<String>)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(&self.service.program);
        command
            .args(&self.service.arguments)
            .envs(&self.service.environment)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0);
        let log = Log::open(&self.log)?;
        let pipe = Receiver::from_owned_fd(reader.into())?;
        let (pid, ended) = self.reaper.start(&mut command)?;
        let mut state = self.state();
        state.pid = Some(pid);
        state.started = Some(Instant::now());
        state.starts += 1;
        drop(state);
        // The command holds the other ends.
        drop(command);
        tokio::spawn(log.follow(pipe));
        Ok((pid, ended))
    }

    fn note_end(&self, how: String) {
        let mut state = self.state();
        state.pid = None;
        state.ended = Some(how);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.state().pid.and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when it is not to run any more.
async fn unwanted(wanted: &mut watch::Receiver<bool>) {
    // The sender lives as long as the keeper.
    let _ = wanted.wait_for(|wanted| !*wanted).await;
}
