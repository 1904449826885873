//! The healthy side of a repair: any member takes the request, the leader makes the changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use openraft::ChangeMembers;
use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;

use super::RepairRequest;
use crate::command::Command;
use crate::env::Env;
use crate::error::Error;
use crate::limits::REPAIR_STEPS_MAX;
use crate::members::Members;
use crate::node::Inner;
use crate::peer::MemberChange;
use crate::types::PeerNode;

/// What is to be done next for a member under repair.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Remember what the member is and with which incarnation it comes back.
    Note,
    /// Take it out of Raft.
    Out {
        voter: bool,
    },
    /// Add it to Raft again.
    Back(PeerNode),
    Done,
}

/// Every step is decided from the state as applied, so whoever leads goes on where the last one stopped.
fn next_step(members: &Members, id: u64, incarnation: u64) -> Option<Step> {
    match members.repairing.get(&id) {
        Some(repairing) if repairing.incarnation != incarnation => Some(Step::Note),
        Some(repairing) if repairing.out => Some(Step::Back(repairing.node.clone())),
        Some(_) => Some(Step::Out {
            voter: members.is_voter(id),
        }),
        None if !members.contains(id) => None,
        None => match members.attributes.get(&id) {
            Some(attributes) if attributes.incarnation == incarnation => Some(Step::Done),
            _ => Some(Step::Note),
        },
    }
}

impl<E: Env> Inner<E> {
    /// A damaged member asks to be replaced by itself; answers from which index on it may serve.
    pub(crate) async fn repair(&self, body: Bytes) -> Result<Bytes, Error> {
        let request = RepairRequest::decode(body)?;
        self.judge(&request)?;
        let (id, incarnation) = (request.id, request.incarnation);
        self.change_members(MemberChange::Repair { id, incarnation })
            .await?;
        // The change was waited for here, so everything committed before it is applied here.
        let index = *self.shared.applied.borrow();
        Ok(Bytes::copy_from_slice(&index.to_le_bytes()))
    }

    /// Only a member of this cluster, and only one that has the data it is known with or knows nothing of it
    /// any more. (A member that was wiped by hand does not ask.)
    fn judge(&self, request: &RepairRequest) -> Result<(), Error> {
        let members = self.shared.members.load();
        let same_cluster = request.cluster_id == self.greeter.identity.cluster_id;
        if !same_cluster || !members.is_member(request.id) {
            return Err(Error::MemberNotFound);
        }
        if request.id == self.member_id() {
            return Err(Error::Unhealthy);
        }
        let known = members.attributes.get(&request.id).map(|a| a.incarnation);
        let fits = |known| request.former.is_none_or(|former| former == known);
        if known.is_some_and(|known| known != request.incarnation && !fits(known)) {
            return Err(Error::MemberExists);
        }
        Ok(())
    }

    pub(crate) async fn repair_member(&self, id: u64, incarnation: u64) -> Result<(), Error> {
        if id == self.member_id() {
            return Err(Error::Unhealthy);
        }
        for _ in 0..REPAIR_STEPS_MAX {
            let members = self.shared.members.load_full();
            match next_step(&members, id, incarnation) {
                None => return Err(Error::MemberNotFound),
                Some(Step::Done) => return Ok(()),
                Some(Step::Note) => {
                    tracing::info!("member {id:x} is damaged and asks to be repaired");
                    self.propose(&Command::Repair { id, incarnation }).await?;
                }
                Some(Step::Out { voter }) => self.take_out(id, voter).await?,
                Some(Step::Back(node)) => {
                    let nodes = BTreeMap::from([(id, node)]);
                    self.change_membership(ChangeMembers::AddNodes(nodes))
                        .await?;
                    tracing::info!(
                        "member {id:x} is back with nothing, to be filled and to vote then"
                    );
                }
            }
        }
        Err(Error::Unhealthy)
    }

    async fn take_out(&self, id: u64, voter: bool) -> Result<(), Error> {
        if self.was_heard_lately(id) {
            // Its former self may still take part: a note about damage means that it does not.
            return Err(Error::Unhealthy);
        }
        let change = match voter {
            true => ChangeMembers::RemoveVoters(BTreeSet::from([id])),
            false => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
        };
        self.change_membership(change).await?;
        tracing::info!("member {id:x} is out, with all it ever voted for and acknowledged");
        Ok(())
    }

    /// Whether a member acknowledged anything to this leader within two election timeouts.
    fn was_heard_lately(&self, id: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let acknowledged = metrics.heartbeat.as_ref().and_then(|all| *all.get(&id)?);
        let limit = Duration::from_millis(2 * self.election_ms);
        acknowledged.is_some_and(|at| at.elapsed() < limit)
    }
}
