//! The simulated environment of one process.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;

use mainstay_engine::EngineError;
use mainstay_raft::PeerUrl;
use mainstay_raft::env::{Env, Io, Opening};
use mainstay_raft::limits::PEER_CONNECT_TIMEOUT;
use mainstay_wal::disk::MemDisk;
use mainstay_wal::{Disk, Driver, OnFatal, Options, Recovered, Verdict, Wal, WalError};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep, timeout};

use super::disk::{Alive, ProcessDisk};
use super::engine::{Engines, Observed, SimEngine};
use super::net::Net;
use crate::rng::Rng;

/// What recovery of the log said when a process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogLook {
    Intact,
    Torn,
    Damaged,
}

/// What an environment is made of.
#[derive(Debug)]
pub(crate) struct SimEnvParts {
    pub(crate) host: usize,
    pub(crate) disk: MemDisk,
    pub(crate) engines: Engines,
    pub(crate) observed: Observed,
    pub(crate) net: Net,
    pub(crate) rng: Rng,
    pub(crate) flush_one_in: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) tail_bytes: usize,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimEnv(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: SimEnvParts,
    alive: Alive,
    process_disk: ProcessDisk,
    disk: Dynamic,
    rng: Mutex<Rng>,
    log: Mutex<Option<(Driver, LogLook)>>,
}

struct Dynamic(Arc<dyn Disk>);

impl std::fmt::Debug for Dynamic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dynamic")
    }
}

impl SimEnv {
    pub(crate) fn new(parts: SimEnvParts) -> Self {
        let alive = Alive::new();
        let process_disk = ProcessDisk {
            disk: parts.disk.clone(),
            engines: parts.engines.clone(),
            alive: alive.clone(),
        };
        Self(Arc::new(Inner {
            rng: Mutex::new(parts.rng.clone()),
            disk: Dynamic(Arc::new(process_disk.clone())),
            parts,
            alive,
            process_disk,
            log: Mutex::new(None),
        }))
    }

    pub(crate) fn alive(&self) -> &Alive {
        &self.0.alive
    }

    /// The log's driver, once it was opened.
    pub(crate) fn take_log(&self) -> Option<(Driver, LogLook)> {
        self.0.log.lock().take()
    }

    fn flush(&self) -> (Rng, u64) {
        (self.0.rng.lock().fork(), self.0.parts.flush_one_in)
    }
}

impl Env for SimEnv {
    type Engine = SimEngine;
    type Listener = usize;

    fn disk(&self) -> &Arc<dyn Disk> {
        &self.0.disk.0
    }

    fn open_log(
        &self,
        dir: &Path,
        options: Options,
        on_fatal: OnFatal,
    ) -> Result<(Wal, Recovered), WalError> {
        let options = Options {
            segment_bytes: self.0.parts.segment_bytes,
            tail_bytes: self.0.parts.tail_bytes,
            ..options
        };
        let disk = self.0.process_disk.clone();
        let (wal, driver, recovered) = Wal::open_manual(disk, dir, options, on_fatal)?;
        let look = match recovered.verdict {
            Verdict::Intact => LogLook::Intact,
            Verdict::TornTail { .. } => LogLook::Torn,
            Verdict::Damaged(_) => LogLook::Damaged,
        };
        *self.0.log.lock() = Some((driver, look));
        Ok((wal, recovered))
    }

    fn open_engine(&self, dir: &Path) -> Result<SimEngine, EngineError> {
        let disk = self.0.process_disk.clone();
        SimEngine::open(dir, disk, Arc::clone(&self.0.parts.observed), self.flush())
    }

    fn inspect_engine(&self, dir: &Path) -> Result<SimEngine, EngineError> {
        SimEngine::inspect(dir, self.0.process_disk.clone())
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        tokio::spawn(task)
    }

    /// The host takes its runtime down itself.
    fn close(&self) {}

    /// Others go on for a moment, as they do while a thread waits for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let pause = self.0.rng.lock().range(3, 6);
        // More than a step, so that nothing made in one is gone before it was seen.
        sleep(Duration::from_millis(pause)).await;
        Ok(work())
    }

    fn listeners(&self) -> io::Result<Vec<usize>> {
        self.0.parts.net.listen(self.0.parts.host);
        Ok(vec![self.0.parts.host])
    }

    async fn accept(&self, host: &usize) -> io::Result<(Opening, String)> {
        let stream = std::future::poll_fn(|cx| self.0.parts.net.poll_accept(*host, cx)).await;
        let io: Box<dyn Io> = Box::new(stream);
        let opening: Opening = Box::pin(std::future::ready(Ok(io)));
        Ok((opening, String::from("a peer")))
    }

    /// Hosts are called `m0`, `m1`, ….
    async fn connect(&self, url: PeerUrl<'_>) -> io::Result<Box<dyn Io>> {
        let to = url.host.strip_prefix('m').and_then(|n| n.parse().ok());
        let to: usize = to.ok_or_else(|| io::Error::other("no such host"))?;
        let calling = self.0.parts.net.call(self.0.parts.host, to);
        let answer = timeout(PEER_CONNECT_TIMEOUT, calling)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let stream = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Box::new(stream))
    }

    fn unix_seconds(&self) -> i64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.as_secs() as i64)
    }

    fn random(&self) -> u64 {
        self.0.rng.lock().next()
    }
}
