//! Writes: from a command to its result, on any member.
//!
//! A command is proposed again only after Raft said that it never entered the log. When a connection or
//! a leader is lost meanwhile, the member goes on waiting for its own apply until the deadline and then
//! says that the outcome is unknown.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_mvcc::MvccError;
use openraft::errors::ClientWriteError;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::command::{Applied, Command, Origin};
use crate::env::Env;
use crate::error::Error;
use crate::metrics::count;
use crate::node::{Inner, Node};
use crate::peer::{Call, CallError, Purpose};
use crate::types::{Cmd, Responder, TypeConfig};
use crate::waiters::Settled;

/// Pause before a command that was turned away is proposed again.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

type WriteResult =
    Result<openraft::raft::ClientWriteResponse<TypeConfig>, ClientWriteError<TypeConfig>>;

/// What the leader said of a forwarded command.
enum Forwarded {
    Accepted,
    Rejected,
    /// It may have arrived.
    Lost,
}

fn settled(result: &WriteResult) -> Option<Settled> {
    match result {
        Ok(_) => None,
        Err(ClientWriteError::LogEntryDiscarded(_)) => Some(Settled::Unknown),
        Err(_) => Some(Settled::Rejected),
    }
}

impl<E: Env> Node<E> {
    /// Replicates and applies a command; any member.
    ///
    /// Errors that say "timed out" leave the outcome unknown.
    pub async fn propose(&self, command: Command) -> Result<Applied, Error> {
        let physical = match command {
            Command::Compact {
                revision,
                physical: true,
            } => Some(revision),
            _ => None,
        };
        let result = self.inner.propose(&command).await;
        if result.is_err() {
            count(&self.inner.shared.metrics.proposals_failed);
        }
        // etcd waits for a compaction under way even when it refuses one that is already done.
        let compacted = matches!(&result, Ok(_) | Err(Error::Mvcc(MvccError::Compacted)));
        if let Some(revision) = physical.filter(|_| compacted) {
            self.wait_reclaimed(revision).await?;
        }
        result
    }
}

impl<E: Env> Inner<E> {
    pub(crate) async fn propose(&self, command: &Command) -> Result<Applied, Error> {
        let deadline = Instant::now() + self.request_timeout;
        loop {
            let mut waiting = self.shared.waiters.register()?;
            let origin = Origin {
                member: self.member_id(),
                seq: waiting.seq,
            };
            let bytes = command.encode(origin);
            if bytes.len() > self.max_command_bytes {
                return Err(Error::RequestTooLarge);
            }
            let Some(leader) = self.known_leader(deadline).await else {
                return Err(Error::Timeout);
            };
            let settled = if leader == self.member_id() {
                self.propose_here(bytes, waiting.seq).await?;
                timeout_at(deadline, &mut waiting.outcome)
                    .await
                    .map_err(|_| Error::Timeout)
            } else {
                self.propose_there(leader, bytes, &mut waiting.outcome, deadline)
                    .await
            };
            match settled?.unwrap_or(Settled::Unknown) {
                Settled::Applied(outcome) => return outcome,
                Settled::Rejected => self.pause(deadline).await?,
                Settled::Unknown => return Err(Error::TimeoutLeaderFailure),
            }
        }
    }

    async fn pause(&self, deadline: Instant) -> Result<(), Error> {
        let until = Instant::now() + RETRY_PAUSE;
        if until >= deadline {
            return Err(Error::Timeout);
        }
        sleep_until(until).await;
        Ok(())
    }

    /// The leader, waiting for one until the deadline.
    pub(crate) async fn known_leader(&self, deadline: Instant) -> Option<u64> {
        if let Some(leader) = self.leader.borrow().leader {
            return Some(leader);
        }
        let mut changes = self.leader.subscribe();
        let found = timeout_at(deadline, changes.wait_for(|info| info.leader.is_some()));
        found.await.ok()?.ok()?.leader
    }

    /// Hands a command of this member's own to Raft; the result comes to its waiter.
    async fn propose_here(&self, bytes: Bytes, seq: u64) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let undecided = self.shared.space.take(&bytes)?;
        let responder = Responder::new(move |result: WriteResult| {
            drop(undecided);
            if let Some(settled) = settled(&result) {
                shared.waiters.complete(seq, settled);
            }
        });
        self.raft
            .write(Cmd(bytes))
            .responder(responder)
            .await
            .map_err(|e| self.fatal(&e))
    }

    /// Sends a command to the leader; the result comes to its waiter by this member's own apply.
    async fn propose_there(
        &self,
        leader: u64,
        bytes: Bytes,
        outcome: &mut oneshot::Receiver<Settled>,
        deadline: Instant,
    ) -> Result<Result<Settled, oneshot::error::RecvError>, Error> {
        let forwarding = self.forward(leader, bytes);
        tokio::pin!(forwarding);
        let lost = tokio::select! {
            biased;
            settled = &mut *outcome => return Ok(settled),
            forwarded = &mut forwarding => match forwarded? {
                Forwarded::Accepted => false,
                Forwarded::Rejected => return Ok(Ok(Settled::Rejected)),
                Forwarded::Lost => true,
            },
            () = sleep_until(deadline) => return Err(Error::TimeoutConnectionLost),
        };
        timeout_at(deadline, outcome).await.map_err(|_| match lost {
            true => Error::TimeoutConnectionLost,
            false => Error::Timeout,
        })
    }

    async fn forward(&self, leader: u64, bytes: Bytes) -> Result<Forwarded, Error> {
        let link = self.links.get(leader, Purpose::Request);
        let Ok(conn) = link.conn().await else {
            return Ok(Forwarded::Rejected);
        };
        match conn.call(Call::Propose, bytes).await {
            Ok(_) => Ok(Forwarded::Accepted),
            Err(CallError::Remote(Error::NotLeader | Error::NoLeader)) => Ok(Forwarded::Rejected),
            Err(CallError::Remote(Error::LeaderChanged)) | Err(CallError::Lost) => {
                Ok(Forwarded::Lost)
            }
            Err(CallError::Remote(e)) => Err(e),
        }
    }

    /// A follower's command at the leader: answered when it is applied here, or will not be.
    pub(crate) async fn propose_for_follower(&self, bytes: Bytes) -> Result<Bytes, Error> {
        let (tx, rx) = oneshot::channel();
        let undecided = self.shared.space.take(&bytes)?;
        let responder = Responder::new(move |result: WriteResult| {
            drop(undecided);
            // The follower has gone when nobody listens.
            let _ = tx.send(settled(&result));
        });
        self.raft
            .write(Cmd(bytes))
            .responder(responder)
            .await
            .map_err(|e| self.fatal(&e))?;
        match rx.await {
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(Settled::Rejected)) => Err(Error::NotLeader),
            Ok(Some(_)) | Err(_) => Err(Error::LeaderChanged),
        }
    }

    /// Proposes only while this member leads in the term it was elected in; waits for the result.
    pub(crate) async fn propose_as(
        &self,
        leader: crate::types::LeaderId,
        command: Command,
    ) -> Result<impl Future<Output = Result<Applied, Error>>, Error> {
        let waiting = self.shared.waiters.register()?;
        let origin = Origin {
            member: self.member_id(),
            seq: waiting.seq,
        };
        let (shared, seq) = (Arc::clone(&self.shared), waiting.seq);
        let responder = Responder::new(move |result: WriteResult| {
            if let Some(settled) = settled(&result) {
                shared.waiters.complete(seq, settled);
            }
        });
        let limit = self.request_timeout;
        self.raft
            .write(Cmd(command.encode(origin)))
            .with_leader(leader)
            .responder(responder)
            .await
            .map_err(|e| self.fatal(&e))?;
        Ok(async move {
            let mut waiting = waiting;
            match tokio::time::timeout(limit, &mut waiting.outcome).await {
                Ok(Ok(Settled::Applied(outcome))) => outcome,
                Ok(Ok(Settled::Rejected)) => Err(Error::NotLeader),
                Ok(Ok(Settled::Unknown) | Err(_)) => Err(Error::LeaderChanged),
                Err(_) => Err(Error::Timeout),
            }
        })
    }

    /// Raft has stopped: says why and ends the member.
    pub(crate) fn fatal(&self, e: &openraft::errors::Fatal<TypeConfig>) -> Error {
        if matches!(e, openraft::errors::Fatal::Stopped) {
            return Error::Stopped;
        }
        self.stop_with(crate::error::StopReason::Fatal(e.to_string()));
        Error::Stopped
    }
}
