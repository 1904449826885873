//! Byte encodings of Raft's own records, for the log and for peers.
//!
//! Fixed-width little-endian integers, `u32` lengths. Decoding never panics: every length is
//! checked against what is left.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use openraft::EntryPayload;

use crate::limits::MEMBERS_MAX;
use crate::types::{
    Cmd, Entry, LeaderId, LogId, Membership, PeerNode, SnapshotMeta, StoredMembership, Vote, log_id,
};

/// Entry kinds in the log.
const KIND_BLANK: u8 = 0;
const KIND_NORMAL: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

/// Bytes that do not decode.
#[derive(Debug, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Reads fields off the front of a byte string.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
    what: &'static str,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes, what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<Bytes, Malformed> {
        if n > self.bytes.len() {
            return Err(Malformed(self.what));
        }
        Ok(self.bytes.split_to(n))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed(self.what)),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let b = self.take(8)?;
        Ok(u64::from_le_bytes([
            b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7],
        ]))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(self.u64()?.cast_signed())
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        let b = self.bytes()?;
        String::from_utf8(b.to_vec()).map_err(|_| Malformed(self.what))
    }

    /// A count of things that each take at least `min_bytes`.
    pub(crate) fn count(&mut self, min_bytes: usize) -> Result<usize, Malformed> {
        let n = self.u32()? as usize;
        if n.saturating_mul(min_bytes) > self.bytes.len() {
            return Err(Malformed(self.what));
        }
        Ok(n)
    }

    pub(crate) fn strings(&mut self) -> Result<Vec<String>, Malformed> {
        (0..self.count(4)?).map(|_| self.string()).collect()
    }

    pub(crate) fn rest(&mut self) -> Bytes {
        self.bytes.split_off(0)
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Malformed(self.what))
        }
    }
}

/// Writes fields; the counterpart of [`Reader`].
pub(crate) trait Put: BufMut {
    fn put_len_bytes(&mut self, b: &[u8]) {
        self.put_u32_le(u32::try_from(b.len()).expect("fields are far below 4 GiB"));
        self.put_slice(b);
    }

    fn put_strings(&mut self, strings: &[String]) {
        self.put_u32_le(u32::try_from(strings.len()).expect("lists are far below 4 Gi"));
        for s in strings {
            self.put_len_bytes(s.as_bytes());
        }
    }
}

impl Put for BytesMut {}

pub(crate) fn put_log_id(out: &mut BytesMut, id: &LogId) {
    out.put_u64_le(id.leader_id.term);
    out.put_u64_le(id.leader_id.node_id);
    out.put_u64_le(id.index);
}

pub(crate) fn log_id_from(r: &mut Reader) -> Result<LogId, Malformed> {
    Ok(log_id(r.u64()?, r.u64()?, r.u64()?))
}

pub(crate) fn put_opt_log_id(out: &mut BytesMut, id: Option<&LogId>) {
    match id {
        None => out.put_u8(0),
        Some(id) => {
            out.put_u8(1);
            put_log_id(out, id);
        }
    }
}

pub(crate) fn opt_log_id_from(r: &mut Reader) -> Result<Option<LogId>, Malformed> {
    Ok(if r.bool()? {
        Some(log_id_from(r)?)
    } else {
        None
    })
}

pub(crate) fn put_vote(out: &mut BytesMut, vote: &Vote) {
    out.put_u64_le(vote.leader_id.term);
    out.put_u64_le(vote.leader_id.node_id);
    out.put_u8(u8::from(vote.committed));
}

pub(crate) fn vote_from(r: &mut Reader) -> Result<Vote, Malformed> {
    let leader_id = LeaderId {
        term: r.u64()?,
        node_id: r.u64()?,
    };
    Ok(Vote {
        leader_id,
        committed: r.bool()?,
    })
}

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut out = BytesMut::with_capacity(17);
    put_vote(&mut out, vote);
    out.freeze()
}

pub(crate) fn decode_vote(bytes: Bytes) -> Result<Vote, Malformed> {
    let mut r = Reader::new(bytes, "vote");
    let vote = vote_from(&mut r)?;
    r.end()?;
    Ok(vote)
}

pub(crate) fn put_membership(out: &mut BytesMut, m: &Membership) {
    let configs = m.get_joint_config();
    out.put_u32_le(u32::try_from(configs.len()).expect("at most two configs"));
    for config in configs {
        out.put_u32_le(u32::try_from(config.len()).expect("members are few"));
        for id in config {
            out.put_u64_le(*id);
        }
    }
    let nodes: Vec<_> = m.nodes().collect();
    out.put_u32_le(u32::try_from(nodes.len()).expect("members are few"));
    for (id, node) in nodes {
        out.put_u64_le(*id);
        out.put_u8(u8::from(node.learner));
        out.put_strings(&node.peer_urls);
    }
}

pub(crate) fn membership_from(r: &mut Reader) -> Result<Membership, Malformed> {
    let mut configs = Vec::new();
    for _ in 0..r.count(4)? {
        let n = r.count(8)?;
        configs.push(
            (0..n)
                .map(|_| r.u64())
                .collect::<Result<BTreeSet<_>, _>>()?,
        );
    }
    let n = r.count(13)?;
    if n > 2 * MEMBERS_MAX {
        return Err(Malformed("membership"));
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..n {
        let id = r.u64()?;
        let learner = r.bool()?;
        nodes.insert(
            id,
            PeerNode {
                peer_urls: r.strings()?,
                learner,
            },
        );
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| Malformed("membership"))
}

pub(crate) fn put_stored_membership(out: &mut BytesMut, m: &StoredMembership) {
    put_opt_log_id(out, m.log_id().as_ref());
    put_membership(out, m.membership());
}

pub(crate) fn stored_membership_from(r: &mut Reader) -> Result<StoredMembership, Malformed> {
    let id = opt_log_id_from(r)?;
    Ok(StoredMembership::new(id, membership_from(r)?))
}

pub(crate) fn put_snapshot_meta(out: &mut BytesMut, meta: &SnapshotMeta) {
    put_opt_log_id(out, meta.last_log_id.as_ref());
    put_stored_membership(out, &meta.last_membership);
}

pub(crate) fn snapshot_meta_from(r: &mut Reader) -> Result<SnapshotMeta, Malformed> {
    let last_log_id = opt_log_id_from(r)?;
    Ok(SnapshotMeta {
        last_log_id,
        last_membership: stored_membership_from(r)?,
    })
}

/// An openraft entry as the log keeps it; a command's bytes are shared, not copied.
pub(crate) fn entry_to_wal(entry: Entry) -> mainstay_wal::Entry {
    let (kind, payload) = match entry.payload {
        EntryPayload::Blank => (KIND_BLANK, Bytes::new()),
        EntryPayload::Normal(cmd) => (KIND_NORMAL, cmd.0),
        EntryPayload::Membership(m) => {
            let mut out = BytesMut::new();
            put_membership(&mut out, &m);
            (KIND_MEMBERSHIP, out.freeze())
        }
    };
    mainstay_wal::Entry {
        id: log_id_to_wal(&entry.log_id),
        kind,
        payload,
    }
}

/// The counterpart of [`entry_to_wal`].
pub(crate) fn entry_from_wal(entry: mainstay_wal::Entry) -> Result<Entry, Malformed> {
    let payload = match entry.kind {
        KIND_BLANK => EntryPayload::Blank,
        KIND_NORMAL => EntryPayload::Normal(Cmd(entry.payload)),
        KIND_MEMBERSHIP => {
            let mut r = Reader::new(entry.payload, "membership entry");
            let m = membership_from(&mut r)?;
            r.end()?;
            EntryPayload::Membership(m)
        }
        _ => return Err(Malformed("entry kind")),
    };
    Ok(Entry {
        log_id: log_id_from_wal(&entry.id),
        payload,
    })
}

pub(crate) fn log_id_to_wal(id: &LogId) -> mainstay_wal::LogId {
    mainstay_wal::LogId {
        term: id.leader_id.term,
        leader: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn log_id_from_wal(id: &mainstay_wal::LogId) -> LogId {
    log_id(id.term, id.leader, id.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_round_trips() {
        let nodes = BTreeMap::from([
            (
                1,
                PeerNode {
                    peer_urls: vec!["http://a:2380".into()],
                    learner: false,
                },
            ),
            (
                9,
                PeerNode {
                    peer_urls: vec![],
                    learner: true,
                },
            ),
        ]);
        let m = Membership::new(vec![BTreeSet::from([1])], nodes).expect("valid");
        let mut out = BytesMut::new();
        put_stored_membership(
            &mut out,
            &StoredMembership::new(Some(log_id(3, 1, 7)), m.clone()),
        );
        let mut r = Reader::new(out.freeze(), "test");
        let back = stored_membership_from(&mut r).expect("decodes");
        r.end().expect("all read");
        assert_eq!(back.membership(), &m);
        assert_eq!(back.log_id(), &Some(log_id(3, 1, 7)));
    }

    #[test]
    fn truncated_bytes_are_malformed_never_a_panic() {
        let m = Membership::new(
            vec![BTreeSet::from([1, 2])],
            BTreeMap::from([(1, PeerNode::default()), (2, PeerNode::default())]),
        )
        .expect("valid");
        let mut out = BytesMut::new();
        put_membership(&mut out, &m);
        let whole = out.freeze();
        for cut in 0..whole.len() {
            let mut r = Reader::new(whole.slice(..cut), "test");
            assert!(membership_from(&mut r).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn huge_counts_do_not_allocate() {
        let mut r = Reader::new(Bytes::from_static(&[0xff; 16]), "test");
        assert!(membership_from(&mut r).is_err());
    }
}
