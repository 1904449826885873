//! Server processes: started in a namespace, killed, paused and restarted, each with proof from `/proc`.

mod logs;
mod ready;

pub use logs::{Finding, Findings, LogRules};
pub use ready::{http_get, http_ok};

use crate::error::{Error, Result};
use crate::limits::{POLL_INTERVAL, SIGNAL_DEADLINE};
use crate::net::Namespace;
use crate::procfs;
use crate::proof::Proof;
use crate::spawn;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How a process is started, again and again.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables on top of the harness's own environment, such as those that preload a library.
    pub env: Vec<(OsString, OsString)>,
    /// Where standard output and error go, appended over all starts.
    pub log: PathBuf,
    /// The network namespace; the harness's own if none.
    pub namespace: Option<Namespace>,
}

impl Spec {
    /// A program that logs to `log`, in the harness's own network.
    pub fn new(program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            log: log.into(),
            namespace: None,
        }
    }

    /// The same with more arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same in a namespace.
    #[must_use]
    pub fn inside(mut self, namespace: &Namespace) -> Self {
        self.namespace = Some(namespace.clone());
        self
    }

    fn start(&self) -> Result<Child> {
        let doing = || format!("start {}", self.program.display());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(Error::io(format!("open {}", self.log.display())))?;
        let errors = log.try_clone().map_err(Error::io(doing()))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if let Some(namespace) = &self.namespace {
            spawn::enter(&mut command, Arc::clone(namespace.file()));
        }
        spawn::bound(command).map_err(Error::io(doing()))
    }
}

/// A process that can be killed and started again. It is killed when this value is dropped and when the harness dies.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Child,
    status: Option<ExitStatus>,
    starts: u32,
}

impl Process {
    /// Starts it. This does not wait until it serves; see [`Process::wait_ready`].
    pub fn spawn(spec: Spec) -> Result<Self> {
        let child = spec.start()?;
        Ok(Self {
            spec,
            child,
            status: None,
            starts: 1,
        })
    }

    /// How it is started; changes act at the next start.
    pub fn spec_mut(&mut self) -> &mut Spec {
        &mut self.spec
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// The id of the process that was started last.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// How it ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Whether it has not ended; a paused process is running.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// Waits until `probe` says yes. Fails when the process ends first or the deadline passes.
    pub fn wait_ready(
        &mut self,
        deadline: Duration,
        mut probe: impl FnMut() -> bool,
    ) -> Result<Duration> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Err(Error::Misuse(format!(
                    "{} ended before it was ready: {status}; see {}",
                    self.spec.program.display(),
                    self.spec.log.display()
                )));
            }
            if probe() {
                return Ok(start.elapsed());
            }
            if start.elapsed() > deadline {
                return Err(self.late("is ready", deadline));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// SIGKILL, reaped. The proof is the exit status.
    pub fn kill(&mut self) -> Result<Proof> {
        let id = self.id();
        if let Some(status) = self.exit_status() {
            return Ok(Proof::when(
                false,
                format!("process {id} had ended before: {status}"),
            ));
        }
        self.signal(Signal::KILL)?;
        let status = self
            .child
            .wait()
            .map_err(Error::io(format!("wait for process {id}")))?;
        self.status = Some(status);
        Ok(Proof::acted(format!("process {id} ended: {status}")))
    }

    /// Sends SIGKILL and does not wait: once this returns, no thread gets back from the system call it is in. An ended
    /// process is no error.
    pub fn doom(&mut self) -> Result<()> {
        if self.is_running() {
            self.signal(Signal::KILL)
        } else {
            Ok(())
        }
    }

    /// SIGTERM, and waits for the end. Returns how it ended and how long that took.
    pub fn terminate(&mut self, deadline: Duration) -> Result<(ExitStatus, Duration)> {
        let start = Instant::now();
        if self.is_running() {
            self.signal(Signal::TERM)?;
        }
        self.wait_exit(deadline)
            .map(|status| (status, start.elapsed()))
    }

    /// Waits until it has ended by itself.
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if start.elapsed() > deadline {
                return Err(self.late("has ended", deadline));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// SIGSTOP. The proof is that all threads are stopped.
    pub fn pause(&mut self) -> Result<Proof> {
        self.running()?;
        self.signal(Signal::STOP)?;
        let states = self.wait_states("is stopped", |states| states.iter().all(|s| *s == 'T'))?;
        Ok(Proof::acted(format!(
            "process {}: {} threads in state T",
            self.id(),
            states.len()
        )))
    }

    /// SIGCONT. The proof is that no thread is stopped any more. A process that was killed meanwhile is an error.
    pub fn resume(&mut self) -> Result<Proof> {
        self.running()?;
        self.signal(Signal::CONT)?;
        let states = self.wait_states("runs again", |states| !states.contains(&'T'))?;
        Ok(Proof::acted(format!(
            "process {}: none of {} threads stopped",
            self.id(),
            states.len()
        )))
    }

    /// Kills it if it runs, and starts it again as it was started before.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.child = self.spec.start()?;
        self.status = None;
        self.starts += 1;
        Ok(())
    }

    /// User and system time that it has used, in clock ticks (usually 10 ms): a process that is paused uses none.
    pub fn cpu_ticks(&self) -> Option<u64> {
        procfs::cpu_ticks(self.id())
    }

    fn running(&mut self) -> Result<()> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => Err(Error::Misuse(format!(
                "process {} has ended: {status}",
                self.id()
            ))),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // Not reaped yet, so the id is still that of our child.
        let id = i32::try_from(self.id()).expect("process ids are positive i32");
        let pid = Pid::from_raw(id).expect("process ids are not zero");
        kill_process(pid, signal).map_err(Error::sys(format!("signal process {id}")))
    }

    fn wait_states(&self, what: &str, done: impl Fn(&[char]) -> bool) -> Result<Vec<char>> {
        let start = Instant::now();
        loop {
            let states = procfs::thread_states(self.id())?;
            if !states.is_empty() && done(&states) {
                return Ok(states);
            }
            if start.elapsed() > SIGNAL_DEADLINE {
                return Err(self.late(what, SIGNAL_DEADLINE));
            }
            sleep(POLL_INTERVAL / 5);
        }
    }

    fn late(&self, what: &str, within: Duration) -> Error {
        Error::Deadline {
            what: format!(
                "{} (process {}) {what}",
                self.spec.program.display(),
                self.id()
            ),
            within,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!("could not end a process: {error}");
        }
    }
}
