//! A lasting way to a peer: connects when needed, again when the connection was lost.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use crate::env::Env;
use crate::limits::{PEER_HANDSHAKE_TIMEOUT, PEER_RECONNECT_PAUSE, SNAPSHOT_ORPHAN_TIMEOUT};
use crate::peer::address::connect;
use crate::peer::conn::Conn;
use crate::peer::handshake::{Greeter, Refusal};

/// What a connection is for; each purpose has its own so that none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Log entries.
    Log,
    /// Heartbeats, votes and leader transfer.
    Control,
    /// Requests that clients sent to a follower.
    Request,
    Snapshot,
}

type Table<E> = HashMap<(u64, Purpose), Arc<Link<E>>>;

/// Everything needed to reach any member.
#[derive(Debug)]
pub(crate) struct Links<E: Env> {
    pub(crate) greeter: Arc<Greeter<E>>,
    pub(crate) env: E,
    /// Where the first members listen, until the state machine knows better.
    pub(crate) bootstrap: BTreeMap<u64, Vec<String>>,
    /// Told when a peer says that this member cannot go on.
    pub(crate) refusals: mpsc::Sender<Refusal>,
    pub(crate) links: Mutex<Table<E>>,
}

impl<E: Env> Links<E> {
    /// The link to a member, shared by all who use it for the same purpose.
    pub(crate) fn get(self: &Arc<Self>, target: u64, purpose: Purpose) -> Arc<Link<E>> {
        let mut links = self.links.lock();
        let link = links.entry((target, purpose)).or_insert_with(|| {
            Arc::new(Link {
                links: Arc::downgrade(self),
                target,
                state: tokio::sync::Mutex::new(State {
                    conn: None,
                    next_try: Instant::now(),
                }),
            })
        });
        Arc::clone(link)
    }

    /// Forgets the links to a member that is gone.
    pub(crate) fn forget(&self, target: u64) {
        self.links.lock().retain(|(id, _), _| *id != target);
    }

    fn urls(&self, target: u64) -> Vec<String> {
        let members = self.greeter.shared.members.load();
        members
            .peer_urls(target)
            .map(<[String]>::to_vec)
            .or_else(|| self.bootstrap.get(&target).cloned())
            .unwrap_or_default()
    }

    async fn connect(&self, target: u64) -> io::Result<Arc<Conn>> {
        let mut io = connect(&self.env, &self.urls(target)).await?;
        let greeting = timeout(PEER_HANDSHAKE_TIMEOUT, self.greeter.call(&mut io, target));
        match greeting
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
        {
            Ok(()) => {
                let metrics = Arc::clone(&self.greeter.shared.metrics);
                Ok(Conn::start(io, Some(metrics)))
            }
            Err(refusal) => {
                // A full queue means that the same news is on its way already.
                let _ = self.refusals.try_send(refusal);
                Err(io::Error::other(refusal))
            }
        }
    }
}

#[derive(Debug)]
struct State {
    conn: Option<Arc<Conn>>,
    next_try: Instant,
}

/// The way to one member for one purpose.
#[derive(Debug)]
pub(crate) struct Link<E: Env> {
    links: Weak<Links<E>>,
    pub(crate) target: u64,
    state: tokio::sync::Mutex<State>,
}

impl<E: Env> Link<E> {
    /// A live connection; waits out the pause after a failed attempt, then tries once.
    pub(crate) async fn conn(&self) -> io::Result<Arc<Conn>> {
        let mut state = self.state.lock().await;
        if let Some(conn) = &state.conn
            && !conn.is_closed()
        {
            return Ok(Arc::clone(conn));
        }
        state.conn = None;
        sleep_until(state.next_try).await;
        state.next_try = Instant::now() + PEER_RECONNECT_PAUSE;
        let links = self
            .links
            .upgrade()
            .ok_or_else(|| io::Error::other("member stopped"))?;
        let conn = links.connect(self.target).await?;
        state.conn = Some(Arc::clone(&conn));
        Ok(conn)
    }

    /// The connection in use, if there is one and nobody is about to replace it.
    fn current(&self) -> Option<Weak<Conn>> {
        let state = self.state.try_lock().ok()?;
        let conn = state.conn.as_ref().filter(|conn| !conn.is_closed())?;
        Some(Arc::downgrade(conn))
    }

    /// Returns some time after another connection than the present one, if any, is in use.
    pub(crate) async fn replaced(&self) {
        let first = self.current();
        loop {
            sleep(PEER_RECONNECT_PAUSE).await;
            let Some(now) = self.current() else { continue };
            if !first.as_ref().is_some_and(|first| first.ptr_eq(&now)) {
                return sleep(SNAPSHOT_ORPHAN_TIMEOUT).await;
            }
        }
    }

    pub(crate) fn env(&self) -> io::Result<E> {
        let links = self.links.upgrade();
        links
            .map(|links| links.env.clone())
            .ok_or_else(|| io::Error::other("member stopped"))
    }

    /// As [`Link::conn`], giving up after `limit`.
    pub(crate) async fn conn_within(&self, limit: Duration) -> io::Result<Arc<Conn>> {
        timeout(limit, self.conn())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
