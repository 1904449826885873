//! Requests between members and their encodings.

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb::Member;
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse};

use crate::codec::{
    Malformed, Put, Reader, entry_from_wal, entry_to_wal, opt_log_id_from, put_opt_log_id,
    put_vote, vote_from,
};
use crate::types::{
    AppendRequest, AppendResponse, Entry, LogId, TypeConfig, Vote, VoteRequest, VoteResponse,
};

/// What a frame asks for. Answers carry the kind [`Call::ANSWER`] or [`Call::FAILURE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Append = 1,
    Vote = 2,
    PreVote = 3,
    TransferLeader = 4,
    Propose = 5,
    ReadIndex = 6,
    KeepAlive = 7,
    TimeToLive = 8,
    ChangeMembers = 9,
    Members = 10,
    SnapshotBegin = 11,
    SnapshotFile = 12,
    SnapshotData = 13,
    SnapshotEnd = 14,
    Repair = 20,
    /// The hash of all data at a revision.
    HashKv = 21,
    /// "A majority has other data than you at this revision."
    HashVerdict = 22,
}

impl Call {
    pub(crate) const ANSWER: u8 = 64;
    pub(crate) const FAILURE: u8 = 65;

    pub(crate) fn from_kind(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::Append,
            2 => Self::Vote,
            3 => Self::PreVote,
            4 => Self::TransferLeader,
            5 => Self::Propose,
            6 => Self::ReadIndex,
            7 => Self::KeepAlive,
            8 => Self::TimeToLive,
            9 => Self::ChangeMembers,
            10 => Self::Members,
            11 => Self::SnapshotBegin,
            12 => Self::SnapshotFile,
            13 => Self::SnapshotData,
            14 => Self::SnapshotEnd,
            20 => Self::Repair,
            21 => Self::HashKv,
            22 => Self::HashVerdict,
            _ => return None,
        })
    }
}

/// A membership change on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberChange {
    Add {
        id: u64,
        peer_urls: Vec<String>,
        learner: bool,
    },
    Remove {
        id: u64,
    },
    Update {
        id: u64,
        peer_urls: Vec<String>,
    },
    Promote {
        id: u64,
    },
    /// See [`Command::Repair`](crate::command::Command::Repair).
    Repair {
        id: u64,
        incarnation: u64,
    },
}

impl MemberChange {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Add {
                id,
                peer_urls,
                learner,
            } => {
                out.put_u8(1);
                out.put_u64_le(*id);
                out.put_u8(u8::from(*learner));
                out.put_strings(peer_urls);
            }
            Self::Remove { id } => {
                out.put_u8(2);
                out.put_u64_le(*id);
            }
            Self::Update { id, peer_urls } => {
                out.put_u8(3);
                out.put_u64_le(*id);
                out.put_strings(peer_urls);
            }
            Self::Promote { id } => {
                out.put_u8(4);
                out.put_u64_le(*id);
            }
            Self::Repair { id, incarnation } => {
                out.put_u8(5);
                out.put_u64_le(*id);
                out.put_u64_le(*incarnation);
            }
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "membership change");
        let (kind, id) = (r.u8()?, r.u64()?);
        let change = match kind {
            1 => {
                let learner = r.bool()?;
                Self::Add {
                    id,
                    learner,
                    peer_urls: r.strings()?,
                }
            }
            2 => Self::Remove { id },
            3 => Self::Update {
                id,
                peer_urls: r.strings()?,
            },
            4 => Self::Promote { id },
            5 => Self::Repair {
                id,
                incarnation: r.u64()?,
            },
            _ => return Err(Malformed("membership change")),
        };
        r.end()?;
        Ok(change)
    }
}

/// What a running cluster answers to someone who wants to join it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteCluster {
    pub cluster_id: u64,
    pub members: Vec<Member>,
}

impl RemoteCluster {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64_le(self.cluster_id);
        out.put_u32_le(u32::try_from(self.members.len()).expect("members are few"));
        for m in &self.members {
            out.put_u64_le(m.id);
            out.put_u8(u8::from(m.is_learner));
            out.put_len_bytes(m.name.as_bytes());
            out.put_strings(&m.peer_urls);
            out.put_strings(&m.client_urls);
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "members");
        let cluster_id = r.u64()?;
        let n = r.count(21)?;
        let mut members = Vec::with_capacity(n);
        for _ in 0..n {
            let (id, is_learner, name) = (r.u64()?, r.bool()?, r.string()?);
            let (peer_urls, client_urls) = (r.strings()?, r.strings()?);
            members.push(Member {
                id,
                name,
                peer_urls,
                client_urls,
                is_learner,
            });
        }
        r.end()?;
        Ok(Self {
            cluster_id,
            members,
        })
    }
}

pub(crate) fn encode_append(request: AppendRequest) -> Bytes {
    let payloads = request.entries.iter().map(entry_bytes).sum::<usize>();
    let mut out = BytesMut::with_capacity(128 + payloads);
    put_vote(&mut out, &request.vote);
    put_opt_log_id(&mut out, request.prev_log_id.as_ref());
    put_opt_log_id(&mut out, request.leader_commit.as_ref());
    out.put_u32_le(u32::try_from(request.entries.len()).expect("appends are bounded"));
    for entry in request.entries {
        let entry = entry_to_wal(entry);
        out.put_u64_le(entry.id.term);
        out.put_u64_le(entry.id.leader);
        out.put_u64_le(entry.id.index);
        out.put_u8(entry.kind);
        out.put_len_bytes(&entry.payload);
    }
    out.freeze()
}

fn entry_bytes(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        openraft::EntryPayload::Normal(cmd) => cmd.0.len(),
        openraft::EntryPayload::Membership(_) => 512,
        openraft::EntryPayload::Blank => 0,
    };
    29 + payload
}

pub(crate) fn decode_append(bytes: Bytes) -> Result<AppendRequest, Malformed> {
    let mut r = Reader::new(bytes, "append request");
    let vote = vote_from(&mut r)?;
    let prev_log_id = opt_log_id_from(&mut r)?;
    let leader_commit = opt_log_id_from(&mut r)?;
    let n = r.count(29)?;
    let mut entries = Vec::with_capacity(n);
    for _ in 0..n {
        let (term, leader, index) = (r.u64()?, r.u64()?, r.u64()?);
        let id = mainstay_wal::LogId {
            term,
            leader,
            index,
        };
        let kind = r.u8()?;
        let payload = r.bytes()?;
        entries.push(entry_from_wal(mainstay_wal::Entry { id, kind, payload })?);
    }
    r.end()?;
    Ok(AppendRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    })
}

pub(crate) fn encode_append_response(response: &AppendResponse) -> Bytes {
    let mut out = BytesMut::with_capacity(32);
    match response {
        AppendResponse::Success => out.put_u8(0),
        AppendResponse::PartialSuccess(id) => {
            out.put_u8(1);
            put_opt_log_id(&mut out, id.as_ref());
        }
        AppendResponse::Conflict => out.put_u8(2),
        AppendResponse::HigherVote(vote) => {
            out.put_u8(3);
            put_vote(&mut out, vote);
        }
    }
    out.freeze()
}

pub(crate) fn decode_append_response(bytes: Bytes) -> Result<AppendResponse, Malformed> {
    let mut r = Reader::new(bytes, "append response");
    Ok(match r.u8()? {
        0 => AppendResponse::Success,
        1 => AppendResponse::PartialSuccess(opt_log_id_from(&mut r)?),
        2 => AppendResponse::Conflict,
        3 => AppendResponse::HigherVote(vote_from(&mut r)?),
        _ => return Err(Malformed("append response")),
    })
}

pub(crate) fn encode_vote_request(request: &VoteRequest) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    put_vote(&mut out, &request.vote);
    put_opt_log_id(&mut out, request.last_log_id.as_ref());
    out.put_u8(u8::from(request.leadership_transfer));
    out.freeze()
}

pub(crate) fn decode_vote_request(bytes: Bytes) -> Result<VoteRequest, Malformed> {
    let mut r = Reader::new(bytes, "vote request");
    let mut request = VoteRequest::new(vote_from(&mut r)?, opt_log_id_from(&mut r)?);
    request.leadership_transfer = r.bool()?;
    Ok(request)
}

pub(crate) fn encode_vote_response(response: &VoteResponse) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    put_vote(&mut out, &response.vote);
    put_opt_log_id(&mut out, response.last_log_id.as_ref());
    out.put_u8(u8::from(response.vote_granted));
    out.freeze()
}

pub(crate) fn decode_vote_response(bytes: Bytes) -> Result<VoteResponse, Malformed> {
    let mut r = Reader::new(bytes, "vote response");
    let (vote, last_log_id) = (vote_from(&mut r)?, opt_log_id_from(&mut r)?);
    Ok(VoteResponse::new(vote, last_log_id, r.bool()?))
}

/// A leader's request that `to` takes over.
pub(crate) fn encode_transfer(from: &Vote, to: u64, last: Option<&LogId>) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    put_vote(&mut out, from);
    out.put_u64_le(to);
    put_opt_log_id(&mut out, last);
    out.freeze()
}

pub(crate) fn decode_transfer(
    bytes: Bytes,
) -> Result<TransferLeaderRequest<TypeConfig>, Malformed> {
    let mut r = Reader::new(bytes, "leader transfer");
    let (from, to) = (vote_from(&mut r)?, r.u64()?);
    Ok(TransferLeaderRequest::new(
        from,
        to,
        opt_log_id_from(&mut r)?,
    ))
}

pub(crate) fn encode_transfer_response(response: &TransferLeaderResponse<TypeConfig>) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    match response {
        Ok(()) => out.put_u8(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.put_u8(1);
            put_vote(&mut out, expected);
            put_vote(&mut out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.put_u8(2);
            put_opt_log_id(&mut out, expected.as_ref());
            put_opt_log_id(&mut out, actual.as_ref());
        }
    }
    out.freeze()
}

pub(crate) fn decode_transfer_response(
    bytes: Bytes,
) -> Result<TransferLeaderResponse<TypeConfig>, Malformed> {
    let mut r = Reader::new(bytes, "leader transfer answer");
    Ok(match r.u8()? {
        0 => Ok(()),
        1 => Err(TransferLeaderError::VoteChanged {
            expected: vote_from(&mut r)?,
            actual: vote_from(&mut r)?,
        }),
        2 => Err(TransferLeaderError::LogNotFlushed {
            expected: opt_log_id_from(&mut r)?,
            actual: opt_log_id_from(&mut r)?,
        }),
        _ => return Err(Malformed("leader transfer answer")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Cmd, LeaderId, log_id};

    fn vote() -> Vote {
        Vote {
            leader_id: LeaderId {
                term: 4,
                node_id: 2,
            },
            committed: true,
        }
    }

    #[test]
    fn appends_round_trip() {
        let request = AppendRequest {
            vote: vote(),
            prev_log_id: Some(log_id(3, 1, 8)),
            leader_commit: None,
            entries: vec![
                Entry {
                    log_id: log_id(4, 2, 9),
                    payload: openraft::EntryPayload::Blank,
                },
                Entry {
                    log_id: log_id(4, 2, 10),
                    payload: openraft::EntryPayload::Normal(Cmd("abc".into())),
                },
            ],
        };
        let bytes = encode_append(request.clone());
        let back = decode_append(bytes.clone()).expect("decodes");
        assert_eq!(back.entries, request.entries);
        assert_eq!(back.prev_log_id, request.prev_log_id);
        for cut in 0..bytes.len() {
            assert!(decode_append(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn member_changes_round_trip() {
        for change in [
            MemberChange::Add {
                id: 1,
                peer_urls: vec!["http://a:1".into()],
                learner: true,
            },
            MemberChange::Remove { id: 2 },
            MemberChange::Update {
                id: 3,
                peer_urls: vec![],
            },
            MemberChange::Promote { id: 4 },
            MemberChange::Repair {
                id: 5,
                incarnation: 6,
            },
        ] {
            assert_eq!(
                MemberChange::decode(change.encode()).expect("decodes"),
                change
            );
        }
    }
}
