//! The commands of the state machine and what they return.
//!
//! A command in the log is `version, kind, origin member, sequence, body`. Origin and sequence let the
//! member that a client spoke to pick up the result from its own apply; the body of a put, delete or
//! transaction is the client's request byte for byte.

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb::{
    AlarmMember, AlarmType, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    TxnRequest, TxnResponse,
};
use prost::Message;

use crate::alarms::{AlarmCause, AlarmChange};
use crate::codec::{Malformed, Put, Reader};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 18;

/// A write, as the server hands it in.
#[derive(Clone, Debug)]
pub enum Command {
    /// An encoded `PutRequest`, as received.
    Put(Bytes),
    /// An encoded `DeleteRangeRequest`, as received.
    DeleteRange(Bytes),
    /// An encoded `TxnRequest`, as received.
    Txn(Bytes),
    /// Drops history below a revision; `physical` waits until this member has dropped it.
    Compact { revision: i64, physical: bool },
    /// Creates a lease; the id is already chosen.
    LeaseGrant { id: i64, ttl: i64 },
    /// Ends a lease and deletes its keys.
    LeaseRevoke { id: i64 },
    /// Records remaining times, milliseconds. Only the leader proposes it.
    LeaseCheckpoint(Vec<(i64, u64)>),
    /// What a member says of itself when it starts.
    Attributes {
        id: u64,
        name: String,
        client_urls: Vec<String>,
        incarnation: u64,
    },
    /// Raises or withdraws an alarm.
    Alarm(AlarmChange),
    /// A member that lost what it had on disk is to leave Raft and to come back, under the same id, with
    /// nothing and with a new incarnation. Only the leader proposes it.
    Repair { id: u64, incarnation: u64 },
    /// A member that was to come back does not.
    RepairOver { id: u64 },
}

/// What applying a command returned. Headers inside carry only the revision.
#[derive(Clone, Debug)]
pub enum Applied {
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact {
        revision: i64,
    },
    LeaseGrant {
        id: i64,
        ttl: i64,
        revision: i64,
    },
    LeaseRevoke {
        revision: i64,
    },
    /// The alarm that the change was about, if there is or was one.
    Alarm {
        named: Option<AlarmMember>,
        revision: i64,
    },
    Done,
}

/// Who waits for a command: a member and its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) member: u64,
    pub(crate) seq: u64,
}

/// A command as decoded for applying.
#[derive(Clone, Debug)]
pub enum Decoded {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact {
        revision: i64,
    },
    LeaseGrant {
        id: i64,
        ttl: i64,
    },
    LeaseRevoke {
        id: i64,
    },
    LeaseCheckpoint(Vec<(i64, u64)>),
    Attributes {
        id: u64,
        name: String,
        client_urls: Vec<String>,
        incarnation: u64,
    },
    Alarm(AlarmChange),
    Repair {
        id: u64,
        incarnation: u64,
    },
    RepairOver {
        id: u64,
    },
}

impl Command {
    fn kind(&self) -> u8 {
        match self {
            Self::Put(_) => 1,
            Self::DeleteRange(_) => 2,
            Self::Txn(_) => 3,
            Self::Compact { .. } => 4,
            Self::LeaseGrant { .. } => 5,
            Self::LeaseRevoke { .. } => 6,
            Self::LeaseCheckpoint(_) => 7,
            Self::Attributes { .. } => 8,
            Self::Alarm(_) => 9,
            Self::Repair { .. } => 20,
            Self::RepairOver { .. } => 21,
        }
    }

    /// The command's bytes in the log.
    pub(crate) fn encode(&self, origin: Origin) -> Bytes {
        let body_hint = match self {
            Self::Put(b) | Self::DeleteRange(b) | Self::Txn(b) => b.len(),
            Self::LeaseCheckpoint(list) => 4 + list.len() * 16,
            _ => 64,
        };
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body_hint);
        out.put_u8(VERSION);
        out.put_u8(self.kind());
        out.put_u64_le(origin.member);
        out.put_u64_le(origin.seq);
        match self {
            Self::Put(b) | Self::DeleteRange(b) | Self::Txn(b) => out.put_slice(b),
            Self::Compact { revision, .. } => out.put_i64_le(*revision),
            Self::LeaseGrant { id, ttl } => {
                out.put_i64_le(*id);
                out.put_i64_le(*ttl);
            }
            Self::LeaseRevoke { id } => out.put_i64_le(*id),
            Self::LeaseCheckpoint(list) => {
                out.put_u32_le(u32::try_from(list.len()).expect("checkpoints come in batches"));
                for (id, remaining) in list {
                    out.put_i64_le(*id);
                    out.put_u64_le(*remaining);
                }
            }
            Self::Attributes {
                id,
                name,
                client_urls,
                incarnation,
            } => {
                out.put_u64_le(*id);
                out.put_u64_le(*incarnation);
                out.put_len_bytes(name.as_bytes());
                out.put_strings(client_urls);
            }
            Self::Alarm(change) => {
                out.put_u8(u8::from(change.active));
                out.put_u8(change.cause.code());
                out.put_u32_le(change.kind as u32);
                out.put_u64_le(change.member);
            }
            Self::Repair { id, incarnation } => {
                out.put_u64_le(*id);
                out.put_u64_le(*incarnation);
            }
            Self::RepairOver { id } => out.put_u64_le(*id),
        }
        out.freeze()
    }
}

/// Whether encoded bytes are a put or a transaction, without decoding them.
pub(crate) fn is_put_or_txn(bytes: &[u8]) -> bool {
    matches!(bytes, [VERSION, 1 | 3, ..])
}

/// The counterpart of [`Command::encode`].
pub(crate) fn decode(bytes: Bytes) -> Result<(Origin, Decoded), Malformed> {
    let mut r = Reader::new(bytes, "command");
    if r.u8()? != VERSION {
        return Err(Malformed("command version"));
    }
    let kind = r.u8()?;
    let origin = Origin {
        member: r.u64()?,
        seq: r.u64()?,
    };
    let decoded = match kind {
        1 => Decoded::Put(message(r.rest(), "put command")?),
        2 => Decoded::DeleteRange(message(r.rest(), "delete command")?),
        3 => Decoded::Txn(message(r.rest(), "txn command")?),
        4 => Decoded::Compact { revision: r.i64()? },
        5 => Decoded::LeaseGrant {
            id: r.i64()?,
            ttl: r.i64()?,
        },
        6 => Decoded::LeaseRevoke { id: r.i64()? },
        7 => {
            let n = r.count(16)?;
            let list = (0..n)
                .map(|_| Ok((r.i64()?, r.u64()?)))
                .collect::<Result<_, Malformed>>()?;
            Decoded::LeaseCheckpoint(list)
        }
        8 => {
            let (id, incarnation) = (r.u64()?, r.u64()?);
            Decoded::Attributes {
                id,
                incarnation,
                name: r.string()?,
                client_urls: r.strings()?,
            }
        }
        9 => Decoded::Alarm(alarm_change(&mut r)?),
        20 => Decoded::Repair {
            id: r.u64()?,
            incarnation: r.u64()?,
        },
        21 => Decoded::RepairOver { id: r.u64()? },
        _ => return Err(Malformed("command kind")),
    };
    Ok((origin, decoded))
}

fn alarm_change(r: &mut Reader) -> Result<AlarmChange, Malformed> {
    let active = r.bool()?;
    let cause = AlarmCause::from_code(r.u8()?).ok_or(Malformed("alarm cause"))?;
    let kind = i32::try_from(r.u32()?).ok();
    let kind = kind.and_then(|kind| AlarmType::try_from(kind).ok());
    Ok(AlarmChange {
        active,
        cause,
        kind: kind.ok_or(Malformed("alarm type"))?,
        member: r.u64()?,
    })
}

fn message<M: Message + Default>(bytes: Bytes, what: &'static str) -> Result<M, Malformed> {
    M::decode(bytes).map_err(|_| Malformed(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { member: 7, seq: 9 };

    #[test]
    fn a_put_keeps_the_request_bytes() {
        let request = PutRequest {
            key: "k".into(),
            value: "v".into(),
            ..Default::default()
        };
        let encoded = Command::Put(request.encode_to_vec().into()).encode(ORIGIN);
        let (origin, decoded) = decode(encoded).expect("decodes");
        assert_eq!(origin, ORIGIN);
        assert!(matches!(decoded, Decoded::Put(r) if r == request));
    }

    #[test]
    fn every_kind_round_trips() {
        let all = [
            Command::Compact {
                revision: 5,
                physical: true,
            },
            Command::LeaseGrant { id: 1, ttl: 60 },
            Command::LeaseRevoke { id: -1 },
            Command::LeaseCheckpoint(vec![(1, 2), (3, 4)]),
            Command::Attributes {
                id: 3,
                name: "m".into(),
                client_urls: vec!["http://c".into()],
                incarnation: 8,
            },
            Command::Alarm(AlarmChange {
                active: true,
                member: 7,
                kind: AlarmType::Corrupt,
                cause: AlarmCause::Disk,
            }),
            Command::Repair {
                id: 3,
                incarnation: 9,
            },
            Command::RepairOver { id: 3 },
        ];
        for command in all {
            let (_, decoded) = decode(command.encode(ORIGIN)).expect("decodes");
            let text = format!("{decoded:?}");
            let name = format!("{command:?}");
            let kind = |s: &str| s.split([' ', '(']).next().map(str::to_owned);
            assert_eq!(kind(&text), kind(&name));
        }
    }

    #[test]
    fn garbage_is_malformed_never_a_panic() {
        for len in 0..64 {
            for fill in [0u8, 1, 7, 8, 0xff] {
                let mut bytes = vec![fill; len];
                if let Some(first) = bytes.first_mut() {
                    *first = VERSION;
                }
                drop(decode(bytes.into()));
            }
        }
    }
}
