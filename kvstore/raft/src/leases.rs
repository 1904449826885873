//! Leases: renewal and expiry by the leader, forwarded to it by everyone else.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_lease::LeaseError;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::admission::REMOVAL_BYTES_MIN;
use crate::codec::Reader;
use crate::command::Command;
use crate::env::Env;
use crate::error::Error;
use crate::limits::{LEASE_CHECKPOINT_BATCH, LEASE_EXPIRE_BATCH, LEASE_TICK};
use crate::metrics::count;
use crate::node::{Inner, LeaseInfo, Node};
use crate::peer::{Call, CallError, Purpose};
use crate::types::LeaderId;

/// Revocations proposed at once (etcd's limit).
const REVOKES_IN_FLIGHT: usize = 16;

impl<E: Env> Node<E> {
    /// Renews a lease on any member; the TTL it has again in seconds, 0 for an unknown lease.
    pub async fn lease_keep_alive(&self, id: i64) -> Result<i64, Error> {
        let deadline = Instant::now() + self.inner.request_timeout;
        loop {
            let leader = self
                .inner
                .known_leader(deadline)
                .await
                .ok_or(Error::Timeout)?;
            let answer = if leader == self.member_id() {
                self.inner.renew_as_leader(id).await
            } else {
                let body = Bytes::copy_from_slice(&id.to_le_bytes());
                match self
                    .inner
                    .ask_leader(leader, Call::KeepAlive, body, deadline)
                    .await
                {
                    Ok(body) => Reader::new(body, "keep-alive answer")
                        .i64()
                        .map_err(Error::from),
                    Err(e) => Err(e),
                }
            };
            match answer {
                Ok(ttl) => return Ok(ttl),
                Err(Error::LeaseNotFound) => return Ok(0),
                Err(e) => self.inner.pause_after(e, deadline).await?,
            }
        }
    }

    /// Remaining and granted time, and the attached keys when asked for; any member.
    pub async fn lease_time_to_live(&self, id: i64, keys: bool) -> Result<LeaseInfo, Error> {
        let deadline = Instant::now() + self.inner.request_timeout;
        loop {
            let leader = self
                .inner
                .known_leader(deadline)
                .await
                .ok_or(Error::Timeout)?;
            let answer = if leader == self.member_id() {
                self.inner.time_to_live_as_leader(id, keys).await
            } else {
                let mut body = BytesMut::with_capacity(9);
                body.put_i64_le(id);
                body.put_u8(u8::from(keys));
                match self
                    .inner
                    .ask_leader(leader, Call::TimeToLive, body.freeze(), deadline)
                    .await
                {
                    Ok(body) => decode_info(body),
                    Err(e) => Err(e),
                }
            };
            match answer {
                Ok(info) => return Ok(info),
                Err(e) => self.inner.pause_after(e, deadline).await?,
            }
        }
    }

    /// The ids of all leases this member knows of; the leader lists those that expire first, first.
    #[must_use]
    pub fn lease_list(&self) -> Vec<i64> {
        self.inner.shared.lessor.lock().leases()
    }
}

fn decode_info(body: Bytes) -> Result<LeaseInfo, Error> {
    let mut r = Reader::new(body, "time to live answer");
    let (ttl, granted_ttl) = (r.i64()?, r.i64()?);
    let n = r.count(4)?;
    let keys = (0..n).map(|_| r.bytes()).collect::<Result<_, _>>()?;
    Ok(LeaseInfo {
        ttl,
        granted_ttl,
        keys,
    })
}

impl<E: Env> Inner<E> {
    /// Sends a request that may safely be sent again to the leader.
    pub(crate) async fn ask_leader(
        &self,
        leader: u64,
        call: Call,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, Error> {
        let asking = async {
            let link = self.links.get(leader, Purpose::Request);
            let conn = link.conn().await.map_err(|_| Error::NoLeader)?;
            conn.call(call, body).await.map_err(|e| match e {
                CallError::Lost => Error::TimeoutConnectionLost,
                CallError::Remote(e) => e,
            })
        };
        timeout_at(deadline, asking)
            .await
            .map_err(|_| Error::Timeout)?
    }

    /// Waits a moment before the next try when `e` may pass; returns what the client gets otherwise.
    pub(crate) async fn pause_after(&self, e: Error, deadline: Instant) -> Result<(), Error> {
        let passing = matches!(
            e,
            Error::NotLeader
                | Error::NoLeader
                | Error::LeaderChanged
                | Error::TimeoutConnectionLost
        );
        let until = Instant::now() + LEASE_TICK / 4;
        if !passing {
            return Err(e);
        }
        if until >= deadline {
            return Err(Error::Timeout);
        }
        tokio::time::sleep_until(until).await;
        Ok(())
    }

    /// Renews as leader. Leadership is confirmed first, so a deposed leader never promises time that
    /// its successor does not know of.
    pub(crate) async fn renew_as_leader(&self, id: i64) -> Result<i64, Error> {
        self.read_index().await?;
        let order = self.lease_order.lock().await;
        let now = self.shared.now_ms();
        let renewed = self.shared.lessor.lock().renew(id, now);
        let renewal = match renewed {
            Ok(renewal) => renewal,
            Err(LeaseError::Expired) => {
                drop(order);
                return self.await_revoked(id).await;
            }
            Err(LeaseError::NotLeader) => return Err(Error::NotLeader),
            Err(_) => return Err(Error::LeaseNotFound),
        };
        count(&self.shared.metrics.leases_renewed);
        if renewal.needs_reset {
            let leader = self.leader_id()?;
            let reset = Command::LeaseCheckpoint(vec![(id, 0)]);
            let outcome = self.propose_as(leader, reset).await?;
            drop(order);
            outcome.await?;
        }
        Ok(renewal.ttl_s)
    }

    /// An expired lease is answered as unknown, once it is.
    async fn await_revoked(&self, id: i64) -> Result<i64, Error> {
        let deadline = Instant::now() + self.request_timeout;
        let mut applied = self.shared.applied.subscribe();
        loop {
            applied.borrow_and_update();
            if !self.shared.lessor.lock().exists(id) {
                return Err(Error::LeaseNotFound);
            }
            match timeout_at(deadline, applied.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Error::Stopped),
                Err(_) => return Err(Error::Timeout),
            }
        }
    }

    pub(crate) async fn time_to_live_as_leader(
        &self,
        id: i64,
        keys: bool,
    ) -> Result<LeaseInfo, Error> {
        self.read_index().await?;
        let info = self
            .shared
            .lessor
            .lock()
            .time_to_live(id, self.shared.now_ms());
        let info = match info {
            Ok(info) => info,
            Err(LeaseError::NotLeader) => return Err(Error::NotLeader),
            Err(_) => {
                return Ok(LeaseInfo {
                    ttl: -1,
                    granted_ttl: 0,
                    keys: Vec::new(),
                });
            }
        };
        let keys = match keys {
            true => self.shared.reader.load().lease_keys(id)?,
            false => Vec::new(),
        };
        Ok(LeaseInfo {
            ttl: info.remaining_s,
            granted_ttl: info.granted_s,
            keys,
        })
    }

    pub(crate) fn leader_id(&self) -> Result<LeaderId, Error> {
        let leader = self.raft.as_leader().map_err(|_| Error::NotLeader)?;
        Ok(leader.to_committed_leader_id())
    }

    /// Keeps deadlines while this member leads; hands them to nobody, the next leader has the records.
    pub(crate) async fn run_leases(self: Arc<Self>) {
        let mut tick = interval(LEASE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leading: Option<LeaderId> = None;
        loop {
            tick.tick().await;
            let now = self.leader_id().ok();
            if now != leading {
                self.shared.lessor.lock().demote();
                leading = None;
            }
            let Some(id) = now else { continue };
            if leading.is_none() {
                // The barrier makes sure that everything of earlier terms is applied here.
                if self.read_index().await.is_err() || self.leader_id().ok() != Some(id) {
                    continue;
                }
                let now_ms = self.shared.now_ms();
                self.shared.lessor.lock().promote(now_ms);
                leading = Some(id);
            }
            // The loop may have been paused: a deposed leader must not expire what its successor renewed.
            if let Err(e) = self.lease_pass(id).await {
                tracing::debug!("lease pass: {e}");
            }
        }
    }

    async fn lease_pass(&self, leader: LeaderId) -> Result<(), Error> {
        // Removing keys takes room for a while: where there is none, leases live a little longer.
        let expired = match self.shared.space.take_spare(REMOVAL_BYTES_MIN) {
            true => {
                let now_ms = self.shared.now_ms();
                let mut lessor = self.shared.lessor.lock();
                lessor.due_expired(now_ms, LEASE_EXPIRE_BATCH)
            }
            false => Vec::new(),
        };
        if !expired.is_empty() {
            self.read_index().await?;
        }
        for chunk in expired.chunks(REVOKES_IN_FLIGHT) {
            let mut outcomes = Vec::with_capacity(chunk.len());
            for id in chunk {
                outcomes.push(
                    self.propose_as(leader, Command::LeaseRevoke { id: *id })
                        .await?,
                );
            }
            for outcome in outcomes {
                match outcome.await {
                    Ok(_) => count(&self.shared.metrics.leases_expired),
                    Err(Error::LeaseNotFound) => {}
                    Err(e) => return Err(e),
                }
            }
        }
        let outcome = {
            let _order = self.lease_order.lock().await;
            let due = self
                .shared
                .lessor
                .lock()
                .due_checkpoints(self.shared.now_ms(), LEASE_CHECKPOINT_BATCH);
            if due.is_empty() {
                return Ok(());
            }
            self.propose_as(leader, checkpoint(&due)).await?
        };
        outcome.await.map(drop)
    }

    /// Records the exact remaining time of every lease before leadership is handed over.
    pub(crate) async fn checkpoint_all_leases(&self) -> Result<(), Error> {
        let leader = self.leader_id()?;
        let mut outcomes = Vec::new();
        {
            let _order = self.lease_order.lock().await;
            let all = self
                .shared
                .lessor
                .lock()
                .checkpoint_all(self.shared.now_ms());
            for chunk in all.chunks(LEASE_CHECKPOINT_BATCH) {
                outcomes.push(self.propose_as(leader, checkpoint(chunk)).await?);
            }
        }
        for outcome in outcomes {
            outcome.await?;
        }
        Ok(())
    }
}

fn checkpoint(list: &[mainstay_lease::Checkpoint]) -> Command {
    Command::LeaseCheckpoint(list.iter().map(|c| (c.id, c.remaining_ms)).collect())
}
