//! Linearizable reads: one ReadIndex round for all that arrived before it started.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::codec::Reader;
use crate::env::Env;
use crate::error::Error;
use crate::limits::PENDING_PROPOSALS_MAX;
use crate::metrics::count;
use crate::node::{Inner, Node};
use crate::peer::{Call, CallError, Purpose};
use mainstay_planted::{Bug, has};

/// Pause before a round is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

type Reply = oneshot::Sender<Result<u64, Error>>;

/// Reads that wait for the next round.
#[derive(Debug, Default)]
pub(crate) struct ReadRounds {
    waiting: Mutex<Vec<Reply>>,
    arrived: Notify,
}

impl<E: Env> Node<E> {
    /// Returns when a local read sees everything acknowledged before this call; any member.
    pub async fn read_index(&self) -> Result<(), Error> {
        self.inner.read_index().await
    }
}

impl<E: Env> Inner<E> {
    pub(crate) async fn read_index(&self) -> Result<(), Error> {
        let (tx, rx) = oneshot::channel();
        {
            let mut waiting = self.reads.waiting.lock();
            if waiting.len() >= PENDING_PROPOSALS_MAX {
                return Err(Error::TooManyRequests);
            }
            waiting.push(tx);
        }
        self.reads.arrived.notify_one();
        let deadline = Instant::now() + self.request_timeout;
        let index = match timeout_at(deadline, rx).await {
            Ok(Ok(index)) => index?,
            Ok(Err(_)) => return Err(Error::Stopped),
            Err(_) => return Err(Error::Timeout),
        };
        if *self.shared.applied.borrow() >= index {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.wait_applied(index, left).await.map_err(|e| match e {
            Error::TimeoutAppliedIndex => Error::Timeout,
            other => other,
        })
    }

    /// Runs rounds, one after the other, for all reads that arrived before each started.
    pub(crate) async fn run_read_rounds(self: Arc<Self>) {
        loop {
            self.reads.arrived.notified().await;
            let batch = std::mem::take(&mut *self.reads.waiting.lock());
            if batch.is_empty() {
                continue;
            }
            let deadline = Instant::now() + self.request_timeout;
            let index = match timeout_at(deadline, self.confirmed_index()).await {
                Ok(index) => index,
                Err(_) => Err(Error::Timeout),
            };
            if index.is_err() {
                count(&self.shared.metrics.read_indexes_failed);
            }
            for reply in batch {
                // Whoever gave up does not listen.
                let _ = reply.send(index.clone());
            }
            if has(Bug::ReusedReadIndex) {
                for reply in std::mem::take(&mut *self.reads.waiting.lock()) {
                    let _ = reply.send(index.clone());
                }
            }
        }
    }

    /// An index that everything acknowledged before this call is at or below; tries until it has one.
    async fn confirmed_index(&self) -> Result<u64, Error> {
        loop {
            let far = Instant::now() + self.request_timeout;
            let Some(leader) = self.known_leader(far).await else {
                return Err(Error::Timeout);
            };
            let index = if leader == self.member_id() {
                self.index_as_leader().await
            } else {
                self.index_from(leader).await
            };
            match index {
                Ok(index) => return Ok(index),
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
    }

    /// Confirms leadership with a quorum. Never by lease: a paused process would serve stale reads.
    pub(crate) async fn index_as_leader(&self) -> Result<u64, Error> {
        if has(Bug::StaleReadAfterPause) && self.leader.borrow().leader == Some(self.member_id()) {
            return Ok(*self.shared.applied.borrow());
        }
        match self.raft.get_read_log_id(ReadPolicy::ReadIndex).await {
            Ok((id, _)) => Ok(id.index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_))) => {
                Err(Error::NotLeader)
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(Error::NoLeader)
            }
            Err(RaftError::Fatal(e)) => Err(self.fatal(&e)),
        }
    }

    async fn index_from(&self, leader: u64) -> Result<u64, Error> {
        let limit = Duration::from_millis(self.election_ms);
        let link = self.links.get(leader, Purpose::Request);
        let conn = link.conn_within(limit).await.map_err(|_| Error::NoLeader)?;
        let asking = conn.call(Call::ReadIndex, Bytes::new());
        let body = match tokio::time::timeout(limit, asking).await {
            Ok(Ok(body)) => body,
            Ok(Err(CallError::Remote(e))) => return Err(e),
            Ok(Err(CallError::Lost)) | Err(_) => return Err(Error::NoLeader),
        };
        Ok(Reader::new(body, "read index").u64()?)
    }

    /// A follower asks for the index.
    pub(crate) async fn index_for_follower(&self) -> Result<Bytes, Error> {
        let index = self.index_as_leader().await?;
        let mut out = BytesMut::with_capacity(8);
        out.put_u64_le(index);
        Ok(out.freeze())
    }
}
