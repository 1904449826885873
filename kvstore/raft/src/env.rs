//! The world around a member: disk, engine, peers' streams, threads, wall clock and chance.
//!
//! Nothing else in this crate touches any of them, so that the very same member runs on an operating
//! system (the server) and in a simulation that decides about each of them. Time is tokio's.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mainstay_engine::{Engine, EngineError};
use mainstay_wal::{Disk, OnFatal, Options, Recovered, Wal, WalError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::peer::PeerUrl;
use crate::space::Room;

/// A connected byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A peer's connection that is being established: after accepting, TLS may still have to be agreed on.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// What a member runs on. Clones share it.
pub trait Env: Clone + fmt::Debug + Send + Sync + 'static {
    type Engine: Engine;
    /// Where peers call.
    type Listener: Send + Sync + 'static;

    /// Holds identity, peers and state; the log's and the engine's disk, too, where those go through one.
    fn disk(&self) -> &Arc<dyn Disk>;

    /// Opens or creates the log in `dir` and sees to it that what is appended becomes durable.
    fn open_log(
        &self,
        dir: &Path,
        options: Options,
        on_fatal: OnFatal,
    ) -> Result<(Wal, Recovered), WalError>;

    /// Opens or creates the database in `dir`.
    fn open_engine(&self, dir: &Path) -> Result<Self::Engine, EngineError>;

    /// Opens a database that was there before: one that is not there or not whole is damaged.
    fn reopen_engine(&self, dir: &Path) -> Result<Self::Engine, EngineError> {
        self.open_engine(dir)
    }

    /// Opens a checkpoint only to be asked for a few records.
    fn inspect_engine(&self, dir: &Path) -> Result<Self::Engine, EngineError>;

    /// How much room the file system of `dir` has; `None` where nobody knows, which is as good as plenty.
    fn room(&self, _dir: &Path) -> io::Result<Option<Room>> {
        Ok(None)
    }

    /// Runs Raft's tasks apart from those that serve clients.
    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T>;

    /// Ends all that was spawned. Called last.
    fn close(&self);

    /// Runs what may wait for the disk where it keeps nobody else waiting. Fails only if it panicked.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = io::Result<T>> + Send;

    /// Holds a thread back that runs in [`Env::blocking`]. Where nobody else waits for the disk, not at all.
    fn hold(&self, _pause: Duration) {}

    /// Where peers reach this member; asked once.
    fn listeners(&self) -> io::Result<Vec<Self::Listener>>;

    /// The next caller, and its address for messages.
    fn accept(
        &self,
        listener: &Self::Listener,
    ) -> impl Future<Output = io::Result<(Opening, String)>> + Send;

    /// Calls a peer; gives up by itself in [`PEER_CONNECT_TIMEOUT`](crate::limits::PEER_CONNECT_TIMEOUT)
    /// without TLS and in [`PEER_HANDSHAKE_TIMEOUT`](crate::limits::PEER_HANDSHAKE_TIMEOUT) more with it.
    fn connect(&self, url: PeerUrl<'_>) -> impl Future<Output = io::Result<Box<dyn Io>>> + Send;

    /// Seconds since 1970, as far as this machine knows.
    fn unix_seconds(&self) -> i64;

    fn random(&self) -> u64;
}
