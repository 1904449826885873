//! Who is in the cluster, as the state machine knows it.
//!
//! Raft's membership says which ids there are, where their peers listen and who votes; the attributes
//! are what each member published of itself. Ids that were removed are remembered for ever.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb::Member;

use crate::codec::{Malformed, Put, Reader};
use crate::types::{Membership, PeerNode, StoredMembership};

/// What a member says of itself when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
    pub(crate) incarnation: u64,
}

impl Attributes {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        out.put_u64_le(self.incarnation);
        out.put_len_bytes(self.name.as_bytes());
        out.put_strings(&self.client_urls);
        out.to_vec()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "member attributes");
        let incarnation = r.u64()?;
        Ok(Self {
            incarnation,
            name: r.string()?,
            client_urls: r.strings()?,
        })
    }
}

/// A member that lost what it had on disk, on its way back with nothing under the same id.
///
/// It must first be out of Raft, so that whatever it acknowledged or voted for before counts no more; only
/// then peers accept the new incarnation. It stays in the list of members all the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repairing {
    /// The one it comes back with.
    pub(crate) incarnation: u64,
    /// Raft has let go of the old one.
    pub(crate) out: bool,
    pub(crate) node: PeerNode,
    pub(crate) attributes: Attributes,
}

impl Repairing {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        out.put_u64_le(self.incarnation);
        out.put_u8(u8::from(self.out));
        out.put_u8(u8::from(self.node.learner));
        out.put_strings(&self.node.peer_urls);
        out.put_len_bytes(&self.attributes.encode());
        out.to_vec()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "member under repair");
        let (incarnation, out, learner) = (r.u64()?, r.bool()?, r.bool()?);
        let node = PeerNode {
            peer_urls: r.strings()?,
            learner,
        };
        let attributes = Attributes::decode(r.bytes()?)?;
        r.end()?;
        Ok(Self {
            incarnation,
            out,
            node,
            attributes,
        })
    }
}

/// What a new membership changed besides itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Gone for ever.
    pub(crate) removed: Vec<u64>,
    /// Out of Raft, to come back.
    pub(crate) out: Vec<u64>,
    /// Came back.
    pub(crate) back: Vec<u64>,
}

/// One version of the cluster's membership; replaced as a whole when it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    pub(crate) stored: StoredMembership,
    pub(crate) attributes: BTreeMap<u64, Attributes>,
    pub(crate) removed: BTreeSet<u64>,
    pub(crate) repairing: BTreeMap<u64, Repairing>,
}

impl Members {
    pub(crate) fn membership(&self) -> &Membership {
        self.stored.membership()
    }

    /// Whether Raft counts it, as a voter or as a learner.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.membership().get_node(&id).is_some()
    }

    /// Whether it is a member to the user.
    pub(crate) fn is_member(&self, id: u64) -> bool {
        self.contains(id) || self.repairing.contains_key(&id)
    }

    /// All members to the user, with what Raft knows or will know of them.
    pub(crate) fn nodes(&self) -> BTreeMap<u64, &PeerNode> {
        let absent = self.repairing.iter().map(|(id, r)| (*id, &r.node));
        let present = self.membership().nodes().map(|(id, node)| (*id, node));
        // In this order: what Raft knows is newer.
        absent.chain(present).collect()
    }

    pub(crate) fn is_voter(&self, id: u64) -> bool {
        self.membership().voter_ids().any(|v| v == id)
    }

    /// Whether it is to be a voter and no majority can be had with its vote yet: it is still a learner to Raft, or
    /// the change that makes it a voter is half done and the old majority is needed as well.
    pub(crate) fn awaits_vote(&self, id: u64) -> bool {
        let to_vote = |node: &PeerNode| !node.learner;
        let configs = self.membership().get_joint_config();
        self.membership().get_node(&id).is_some_and(to_vote)
            && !configs.iter().all(|voters| voters.contains(&id))
    }

    pub(crate) fn peer_urls(&self, id: u64) -> Option<&[String]> {
        self.membership()
            .get_node(&id)
            .map(|node| node.peer_urls.as_slice())
    }

    /// Members added as learners, as the user sees them.
    pub(crate) fn learner_count(&self) -> usize {
        self.membership()
            .nodes()
            .filter(|(_, node)| node.learner)
            .count()
    }

    /// Members added as voters that Raft still treats as learners.
    pub(crate) fn awaiting_vote(&self) -> Vec<u64> {
        self.membership()
            .nodes()
            .filter(|(id, node)| !node.learner && !self.is_voter(**id))
            .map(|(id, _)| *id)
            .collect()
    }

    /// One member as clients see it.
    pub(crate) fn member(&self, id: u64) -> Option<Member> {
        let repairing = self.repairing.get(&id);
        let node = self.membership().get_node(&id);
        let node = node.or(repairing.map(|r| &r.node))?;
        let attributes = self.attributes.get(&id);
        let attributes = attributes.or(repairing.map(|r| &r.attributes));
        let attributes = attributes.cloned().unwrap_or_default();
        Some(Member {
            id,
            name: attributes.name,
            peer_urls: node.peer_urls.clone(),
            client_urls: attributes.client_urls,
            is_learner: node.learner,
        })
    }

    /// All members in order of their ids.
    pub(crate) fn list(&self) -> Vec<Member> {
        self.nodes()
            .keys()
            .filter_map(|id| self.member(*id))
            .collect()
    }

    /// A member is to leave and to come back with a new incarnation; false if there is nothing to do.
    pub(crate) fn begin_repair(&mut self, id: u64, incarnation: u64) -> bool {
        if let Some(repairing) = self.repairing.get_mut(&id) {
            return std::mem::replace(&mut repairing.incarnation, incarnation) != incarnation;
        }
        let attributes = self.attributes.get(&id).cloned().unwrap_or_default();
        let Some(node) = self.membership().get_node(&id) else {
            return false;
        };
        if attributes.incarnation == incarnation {
            return false;
        }
        let repairing = Repairing {
            incarnation,
            out: false,
            node: node.clone(),
            attributes,
        };
        self.repairing.insert(id, repairing);
        true
    }

    /// A member does not come back; true if it is gone with that.
    pub(crate) fn end_repair(&mut self, id: u64) -> bool {
        let gone = self.repairing.remove(&id).is_some() && !self.contains(id);
        if gone {
            self.removed.insert(id);
        }
        gone
    }

    /// Takes a new membership.
    pub(crate) fn apply(&mut self, stored: StoredMembership) -> Moved {
        let mut moved = Moved::default();
        let before: Vec<u64> = self.membership().nodes().map(|(id, _)| *id).collect();
        let is_in = |id: &u64| stored.membership().get_node(id).is_some();
        for id in before.into_iter().filter(|id| !is_in(id)) {
            self.attributes.remove(&id);
            match self.repairing.get_mut(&id) {
                Some(repairing) => {
                    repairing.out = true;
                    moved.out.push(id);
                }
                None => {
                    self.removed.insert(id);
                    moved.removed.push(id);
                }
            }
        }
        let is_back = |(id, r): &(&u64, &Repairing)| r.out && is_in(id);
        moved.back = self
            .repairing
            .iter()
            .filter(is_back)
            .map(|(id, _)| *id)
            .collect();
        for id in &moved.back {
            let repairing = self.repairing.remove(id).unwrap_or_default();
            let attributes = Attributes {
                incarnation: repairing.incarnation,
                ..repairing.attributes
            };
            self.attributes.insert(*id, attributes);
        }
        self.stored = stored;
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    fn stored(index: u64, voters: &[u64], learners: &[u64]) -> StoredMembership {
        let node = |id: &u64| {
            let peer_urls = vec![format!("http://m{id}")];
            let learner = false;
            (*id, PeerNode { peer_urls, learner })
        };
        let nodes: BTreeMap<u64, PeerNode> = voters.iter().chain(learners).map(node).collect();
        let voters: BTreeSet<u64> = voters.iter().copied().collect();
        let membership = Membership::new(vec![voters], nodes).expect("voters have nodes");
        StoredMembership::new(Some(log_id(1, 1, index)), membership)
    }

    fn three() -> Members {
        let mut members = Members::default();
        members.apply(stored(1, &[1, 2, 3], &[]));
        let attributes = Attributes {
            name: "m3".into(),
            client_urls: vec!["http://c3".into()],
            incarnation: 7,
        };
        members.attributes.insert(3, attributes);
        members
    }

    #[test]
    fn a_member_under_repair_is_always_listed_and_keeps_its_id() {
        let mut members = three();
        let before = members.list();
        assert!(members.begin_repair(3, 8));
        assert!(!members.begin_repair(3, 8), "once is enough");
        assert_eq!(members.list(), before);
        let moved = members.apply(stored(2, &[1, 2], &[]));
        assert_eq!(moved.out, [3]);
        assert_eq!(members.list(), before);
        assert!(
            !members.attributes.contains_key(&3),
            "no incarnation is accepted now"
        );
        assert!(members.removed.is_empty());
        let moved = members.apply(stored(3, &[1, 2], &[3]));
        assert_eq!(moved.back, [3]);
        assert_eq!(members.list(), before);
        assert_eq!(members.attributes[&3].incarnation, 8);
        assert!(!members.begin_repair(3, 8), "it is done");
        assert!(members.begin_repair(3, 9), "it may happen again");
    }

    #[test]
    fn being_in_raft_is_not_being_back() {
        let mut members = three();
        members.begin_repair(3, 8);
        // Someone else's change in between.
        let moved = members.apply(stored(2, &[1, 2, 3], &[4]));
        assert_eq!(moved, Moved::default());
        assert_eq!(members.attributes[&3].incarnation, 7);
        assert!(members.begin_repair(3, 9), "a later attempt counts");
        members.apply(stored(3, &[1, 2], &[4]));
        members.apply(stored(4, &[1, 2], &[3, 4]));
        assert_eq!(members.attributes[&3].incarnation, 9);
    }

    #[test]
    fn a_member_that_does_not_come_back_is_removed_for_ever() {
        let mut members = three();
        members.begin_repair(3, 8);
        assert!(!members.end_repair(3), "Raft still has it");
        let moved = members.apply(stored(2, &[1, 2], &[]));
        assert_eq!(moved.removed, [3]);
        let mut members = three();
        members.begin_repair(3, 8);
        members.apply(stored(2, &[1, 2], &[]));
        assert!(members.end_repair(3));
        assert!(members.removed.contains(&3) && !members.is_member(3));
    }

    #[test]
    fn records_round_trip() {
        let mut members = three();
        members.begin_repair(3, 8);
        let repairing = &members.repairing[&3];
        let back = Repairing::decode(repairing.encode().into()).expect("decodes");
        assert_eq!(back, *repairing);
    }
}
