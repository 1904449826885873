//! Changes of the cluster's members, one at a time, made by the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mainstay_proto::etcdserverpb::Member;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::command::Command;
use crate::env::Env;
use crate::error::Error;
use crate::ident;
use crate::limits::{MEMBERS_MAX, PROMOTE_LAG_ENTRIES_MAX};
use crate::node::{Inner, Node};
use crate::peer::{Call, MemberChange, is_peer_url};
use crate::types::{PeerNode, TypeConfig};

/// How often the leader looks for members that may vote now.
const PROMOTE_TICK: Duration = Duration::from_millis(200);

type Change = ChangeMembers<u64, PeerNode>;

impl<E: Env> Node<E> {
    /// Adds a member; any member. Returns it and all members.
    ///
    /// A voter gets its vote once it runs and has caught up, so adding one never stops the cluster.
    pub async fn member_add(
        &self,
        peer_urls: Vec<String>,
        learner: bool,
    ) -> Result<(Member, Vec<Member>), Error> {
        if peer_urls.is_empty() || !peer_urls.iter().all(|url| is_peer_url(url)) {
            return Err(Error::BadPeerUrls);
        }
        let now = self.inner.env.unix_seconds();
        let id = ident::member_id(&peer_urls, &self.inner.cluster_token, Some(now));
        self.change(MemberChange::Add {
            id,
            peer_urls,
            learner,
        })
        .await?;
        let members = self.inner.shared.members.load();
        let member = members.member(id).ok_or(Error::MemberNotFound)?;
        Ok((member, members.list()))
    }

    /// Removes a member for ever; its id is never used again. Returns those that are left.
    pub async fn member_remove(&self, id: u64) -> Result<Vec<Member>, Error> {
        self.change(MemberChange::Remove { id }).await?;
        Ok(self.members())
    }

    /// Changes where a member's peers find it.
    pub async fn member_update(
        &self,
        id: u64,
        peer_urls: Vec<String>,
    ) -> Result<Vec<Member>, Error> {
        if peer_urls.is_empty() || !peer_urls.iter().all(|url| is_peer_url(url)) {
            return Err(Error::BadPeerUrls);
        }
        self.change(MemberChange::Update { id, peer_urls }).await?;
        Ok(self.members())
    }

    /// Makes a learner that is in sync a voter.
    pub async fn member_promote(&self, id: u64) -> Result<Vec<Member>, Error> {
        self.change(MemberChange::Promote { id }).await?;
        Ok(self.members())
    }

    async fn change(&self, change: MemberChange) -> Result<(), Error> {
        self.inner.change_members(change).await
    }

    /// Hands leadership to another voter. Only the leader can.
    pub async fn move_leader(&self, target: u64) -> Result<(), Error> {
        let inner = &self.inner;
        if self.leader().leader != Some(self.member_id()) {
            return Err(Error::NotLeader);
        }
        if !inner.shared.members.load().is_voter(target) {
            return Err(Error::BadTransferee);
        }
        if target == self.member_id() {
            return Ok(());
        }
        inner.transfer_leader(target).await
    }
}

impl<E: Env> Inner<E> {
    /// Leadership goes to `target` within an election timeout or two, or stays.
    pub(crate) async fn transfer_leader(&self, target: u64) -> Result<(), Error> {
        // Exact lease times first; without them the successor is within the checkpoints' granularity.
        if let Err(e) = self.checkpoint_all_leases().await {
            tracing::debug!("lease checkpoint before hand-over: {e}");
        }
        self.raft
            .trigger()
            .transfer_leader(target)
            .await
            .map_err(|e| self.fatal(&e))?;
        let mut changes = self.leader.subscribe();
        let limit = Duration::from_millis(2 * self.election_ms);
        let me = self.member_id();
        let moved = changes.wait_for(|info| info.leader.is_some_and(|leader| leader != me));
        match timeout(limit, moved).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::TransferTimeout),
        }
    }

    /// Has the leader change the members; what it did is applied here when this returns.
    pub(crate) async fn change_members(&self, change: MemberChange) -> Result<(), Error> {
        let deadline = Instant::now() + self.request_timeout;
        loop {
            let leader = self.known_leader(deadline).await.ok_or(Error::Timeout)?;
            let result = if leader == self.member_id() {
                self.change_members_as_leader(change.clone()).await
            } else {
                self.ask_leader(leader, Call::ChangeMembers, change.encode(), deadline)
                    .await
                    .map(drop)
            };
            match result {
                // Whoever made the change, this member shows it when it answers.
                Ok(()) => return self.read_index().await,
                // Sent once it may have happened; only a refusal may be sent again.
                Err(e @ (Error::LeaderChanged | Error::TimeoutConnectionLost)) => return Err(e),
                Err(e) => self.pause_after(e, deadline).await?,
            }
        }
    }

    pub(crate) async fn change_members_as_leader(&self, change: MemberChange) -> Result<(), Error> {
        let _one_at_a_time = self.changing_members.lock().await;
        self.read_index().await?;
        if !self.raft.is_leader() {
            return Err(Error::NotLeader);
        }
        match change {
            MemberChange::Add {
                id,
                peer_urls,
                learner,
            } => self.add_member(id, peer_urls, learner).await,
            MemberChange::Remove { id } => self.remove_member(id).await,
            MemberChange::Update { id, peer_urls } => self.update_member(id, peer_urls).await,
            MemberChange::Promote { id } => self.promote_member(id).await,
            MemberChange::Repair { id, incarnation } => self.repair_member(id, incarnation).await,
        }
    }

    async fn add_member(
        &self,
        id: u64,
        peer_urls: Vec<String>,
        learner: bool,
    ) -> Result<(), Error> {
        let members = self.shared.members.load_full();
        if members.is_member(id) || members.removed.contains(&id) {
            return Err(Error::MemberExists);
        }
        self.refuse_taken_urls(id, &peer_urls)?;
        if learner && members.learner_count() >= self.max_learners {
            return Err(Error::TooManyLearners);
        }
        if members.nodes().len() >= MEMBERS_MAX {
            return Err(Error::Unhealthy);
        }
        let node = PeerNode { peer_urls, learner };
        self.change_membership(Change::AddNodes(BTreeMap::from([(id, node)])))
            .await
    }

    fn refuse_taken_urls(&self, id: u64, peer_urls: &[String]) -> Result<(), Error> {
        let members = self.shared.members.load();
        let taken = members
            .nodes()
            .into_iter()
            .filter(|(other, _)| *other != id)
            .any(|(_, node)| node.peer_urls.iter().any(|url| peer_urls.contains(url)));
        if taken {
            Err(Error::PeerUrlExists)
        } else {
            Ok(())
        }
    }

    async fn remove_member(&self, id: u64) -> Result<(), Error> {
        if self.shared.members.load().repairing.contains_key(&id) {
            // It is not to come back.
            self.propose(&Command::RepairOver { id }).await?;
            if self.shared.members.load().removed.contains(&id) {
                return Ok(());
            }
        }
        let members = self.shared.members.load_full();
        if !members.contains(id) {
            return Err(Error::MemberNotFound);
        }
        let change = if members.is_voter(id) {
            if members.membership().voter_ids().count() == 1 {
                return Err(Error::NotEnoughStarted);
            }
            Change::RemoveVoters(BTreeSet::from([id]))
        } else {
            Change::RemoveNodes(BTreeSet::from([id]))
        };
        self.change_membership(change).await
    }

    async fn update_member(&self, id: u64, peer_urls: Vec<String>) -> Result<(), Error> {
        let members = self.shared.members.load_full();
        let node = members
            .membership()
            .get_node(&id)
            .ok_or(Error::MemberNotFound)?;
        self.refuse_taken_urls(id, &peer_urls)?;
        let node = PeerNode {
            peer_urls,
            learner: node.learner,
        };
        self.change_membership(Change::SetNodes(BTreeMap::from([(id, node)])))
            .await
    }

    async fn promote_member(&self, id: u64) -> Result<(), Error> {
        let members = self.shared.members.load_full();
        let node = members
            .membership()
            .get_node(&id)
            .ok_or(Error::MemberNotFound)?;
        if !node.learner {
            return Err(Error::NotLearner);
        }
        if !self.in_sync(id) {
            return Err(Error::LearnerNotReady);
        }
        let node = PeerNode {
            peer_urls: node.peer_urls.clone(),
            learner: false,
        };
        self.change_membership(Change::Batch(vec![
            Change::SetNodes(BTreeMap::from([(id, node)])),
            Change::AddVoterIds(BTreeSet::from([id])),
        ]))
        .await
    }

    pub(crate) async fn change_membership(&self, change: Change) -> Result<(), Error> {
        let changing = self.raft.change_membership(change, false);
        match timeout(self.request_timeout, changing).await {
            Err(_) => Err(Error::Timeout),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::Fatal(e))) => Err(self.fatal(&e)),
            Ok(Err(RaftError::APIError(e))) => Err(refused(&e)),
        }
    }

    /// Whether a learner has caught up: 90 % of the leader's log (etcd's rule) and few entries missing.
    fn in_sync(&self, id: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let Some(replication) = &metrics.replication else {
            return false;
        };
        let matched = replication
            .get(&id)
            .and_then(|m| *m)
            .map_or(0, |id| id.index);
        let last = metrics.last_log_index.unwrap_or(0);
        matched > 0
            && matched.saturating_mul(10) >= last.saturating_mul(9)
            && last - matched.min(last) <= PROMOTE_LAG_ENTRIES_MAX
    }

    /// Gives members added as voters their vote once they have caught up.
    pub(crate) async fn run_promotions(self: Arc<Self>) {
        let mut tick = interval(PROMOTE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if !self.raft.is_leader() {
                continue;
            }
            let waiting = self.shared.members.load().awaiting_vote();
            for id in waiting {
                if !self.in_sync(id) {
                    continue;
                }
                let _one_at_a_time = self.changing_members.lock().await;
                if !self.shared.members.load().awaiting_vote().contains(&id) {
                    continue;
                }
                let vote = Change::AddVoterIds(BTreeSet::from([id]));
                match self.change_membership(vote).await {
                    Ok(()) => tracing::info!("member {id:x} has caught up and votes now"),
                    Err(e) => tracing::warn!("member {id:x} did not get its vote: {e}"),
                }
            }
        }
    }
}

fn refused(e: &ClientWriteError<TypeConfig>) -> Error {
    match e {
        ClientWriteError::ForwardToLeader(_) => Error::NotLeader,
        ClientWriteError::LogEntryDiscarded(_) => Error::LeaderChanged,
        _ => {
            tracing::info!("membership change refused: {e}");
            Error::Unhealthy
        }
    }
}
