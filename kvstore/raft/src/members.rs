//! Who is in the cluster, as the state machine knows it.
//!
//! Raft's membership says which ids there are, where their peers listen and who votes; the attributes
//! are what each member published of itself. Ids that were removed are remembered for ever.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb::Member;

use crate::codec::{Malformed, Put, Reader};
use crate::types::{Membership, StoredMembership};

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

/// One version of the cluster's membership; replaced as a whole when it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    pub(crate) stored: StoredMembership,
    pub(crate) attributes: BTreeMap<u64, Attributes>,
    pub(crate) removed: BTreeSet<u64>,
}

impl Members {
    pub(crate) fn membership(&self) -> &Membership {
        self.stored.membership()
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.membership().get_node(&id).is_some()
    }

    pub(crate) fn is_voter(&self, id: u64) -> bool {
        self.membership().voter_ids().any(|v| v == id)
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
        let node = self.membership().get_node(&id)?;
        let attributes = self.attributes.get(&id).cloned().unwrap_or_default();
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
        self.membership()
            .nodes()
            .filter_map(|(id, _)| self.member(*id))
            .collect()
    }

    /// Takes a new membership; returns the ids that are gone with it.
    pub(crate) fn apply(&mut self, stored: StoredMembership) -> Vec<u64> {
        let gone: Vec<u64> = self
            .membership()
            .nodes()
            .map(|(id, _)| *id)
            .filter(|id| stored.membership().get_node(id).is_none())
            .collect();
        for id in &gone {
            self.attributes.remove(id);
            self.removed.insert(*id);
        }
        self.stored = stored;
        gone
    }
}
