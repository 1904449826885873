//! What a member runs on: the operating system, RocksDB, TCP with or without TLS.

mod priority;
mod room;
mod stream;

pub(crate) use self::stream::PeerTls;

use crate::limits::CLOSE_TIMEOUT;
use mainstay_engine::EngineError;
use mainstay_engine_rocks::{RocksEngine, RocksOptions};
use mainstay_raft::env::{Env, Io, Opening};
use mainstay_raft::{PeerUrl, Room, limits::PEER_CONNECT_TIMEOUT};
use mainstay_wal::{Disk, OnFatal, Options, OsDisk, Recovered, Wal, WalError};
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A member on this machine.
pub(crate) type Node = mainstay_raft::Node<OsEnv>;

/// Threads of Raft's own runtime, which never waits for clients' work. One: core, apply and network hand
/// work to each other for every write, and each hand-over between threads costs a context switch
/// (measured on two cores: a third more writes per second than with three).
const RAFT_THREADS: usize = 1;
/// The log's writer goes before those that serve: on a busy machine it would wait milliseconds for the
/// processor after a sync of 0.15 ms. (Raft's own thread does not: preempting those that serve made
/// smaller batches and cost a tenth.)
const WAL_NICE: i32 = -15;

/// The operating system. Clones share it.
#[derive(Clone)]
pub(crate) struct OsEnv {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    handle: Handle,
    /// Owned until [`Env::close`].
    runtime: Mutex<Option<Runtime>>,
    /// Bound by the caller, so that a busy port is reported before anything starts.
    listeners: Mutex<Vec<std::net::TcpListener>>,
    tls: Option<PeerTls>,
}

impl OsEnv {
    pub(crate) fn new(
        listeners: Vec<std::net::TcpListener>,
        tls: Option<PeerTls>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()?;
        Ok(Self {
            shared: Arc::new(Shared {
                disk: Arc::new(OsDisk),
                handle: runtime.handle().clone(),
                runtime: Mutex::new(Some(runtime)),
                listeners: Mutex::new(listeners),
                tls,
            }),
        })
    }
}

impl fmt::Debug for OsEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OsEnv")
    }
}

impl Shared {
    /// Returns when the tasks are gone, unless one holds a thread for longer. The last of them closes the database, and
    /// RocksDB aborts when that happens beside the end of the process.
    fn close(&self) {
        let Some(runtime) = self.runtime.lock().take() else {
            return;
        };
        // A runtime must not be waited for on a thread of another one.
        let closing = std::thread::spawn(move || runtime.shutdown_timeout(CLOSE_TIMEOUT));
        let _ = closing.join();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

/// Options of the member's own database. A restarted member that kept 64 MiB in memory would not flush on a small disk
/// that is full before the same is free.
fn options_in(dir: &Path) -> RocksOptions {
    RocksOptions {
        memtables_bytes: room::memtables_bytes(dir),
        ..RocksOptions::default()
    }
}

impl Env for OsEnv {
    type Engine = RocksEngine;
    type Listener = TcpListener;

    fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.disk
    }

    fn open_log(
        &self,
        dir: &Path,
        options: Options,
        on_fatal: OnFatal,
    ) -> Result<(Wal, Recovered), WalError> {
        let options = Options {
            on_writer_start: Some(|| priority::raise(WAL_NICE)),
            segment_bytes: room::segment_bytes(dir),
            ..options
        };
        Wal::open(OsDisk, dir, options, on_fatal)
    }

    fn open_engine(&self, dir: &Path) -> Result<RocksEngine, EngineError> {
        RocksEngine::open(dir, &options_in(dir))
    }

    fn reopen_engine(&self, dir: &Path) -> Result<RocksEngine, EngineError> {
        let existing = RocksOptions {
            must_exist: true,
            ..options_in(dir)
        };
        RocksEngine::open(dir, &existing)
    }

    fn hold(&self, pause: Duration) {
        std::thread::sleep(pause);
    }

    fn inspect_engine(&self, dir: &Path) -> Result<RocksEngine, EngineError> {
        let small = RocksOptions {
            block_cache_bytes: 1 << 20,
            memtables_bytes: 1 << 20,
            must_exist: true,
        };
        RocksEngine::open(dir, &small)
    }

    fn room(&self, dir: &Path) -> io::Result<Option<Room>> {
        room::room(dir).map(Some)
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.shared.handle.spawn(task)
    }

    fn close(&self) {
        self.shared.close();
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)
    }

    fn listeners(&self) -> io::Result<Vec<TcpListener>> {
        let listeners = std::mem::take(&mut *self.shared.listeners.lock());
        let listeners = listeners.into_iter().map(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        listeners.collect()
    }

    async fn accept(&self, listener: &TcpListener) -> io::Result<(Opening, String)> {
        let (tcp, from) = listener.accept().await?;
        let opening = stream::accepted(tcp, self.shared.tls.clone());
        Ok((Box::pin(opening), from.to_string()))
    }

    async fn connect(&self, url: PeerUrl<'_>) -> io::Result<Box<dyn Io>> {
        let connecting = TcpStream::connect((url.host, url.port));
        let tcp = timeout(PEER_CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream::connected(tcp, url, self.shared.tls.as_ref()).await
    }

    fn unix_seconds(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        i64::try_from(now.map_or(0, |now| now.as_secs())).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}
