//! The first exchange on a connection: is this the right cluster, the right member, the same data?

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::codec::{Malformed, Reader};
use crate::env::Env;
use crate::identity::{Identity, KnownPeers};
use crate::peer::frame::{Frame, read_frame, write_frame};
use crate::state_machine::Shared;

/// "MSTP"
const MAGIC: u32 = 0x4d53_5450;
const VERSION: u32 = 1;
const KIND_HELLO: u8 = 0;

/// Why a connection was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the peer belongs to another cluster")]
    OtherCluster,
    #[error("the peer is another member")]
    OtherMember,
    #[error("this member was removed from the cluster")]
    Removed,
    /// The caller's id is known with other data: its data was lost.
    #[error("the peer knows this member with other data")]
    OtherIncarnation,
}

impl Refusal {
    fn number(self) -> u8 {
        match self {
            Self::OtherCluster => 1,
            Self::OtherMember => 2,
            Self::Removed => 3,
            Self::OtherIncarnation => 4,
        }
    }

    fn from_number(n: u8) -> Result<Self, Malformed> {
        Ok(match n {
            1 => Self::OtherCluster,
            2 => Self::OtherMember,
            3 => Self::Removed,
            4 => Self::OtherIncarnation,
            _ => return Err(Malformed("refusal")),
        })
    }
}

/// What one side says of itself.
#[derive(Clone, Copy, Debug)]
struct Hello {
    cluster_id: u64,
    from: u64,
    to: u64,
    incarnation: u64,
}

impl Hello {
    fn encode(self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(MAGIC);
        out.put_u32_le(VERSION);
        for n in [self.cluster_id, self.from, self.to, self.incarnation] {
            out.put_u64_le(n);
        }
        out.freeze()
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, "peer greeting");
        if r.u32()? != MAGIC || r.u32()? != VERSION {
            return Err(Malformed("peer greeting"));
        }
        Ok(Self {
            cluster_id: r.u64()?,
            from: r.u64()?,
            to: r.u64()?,
            incarnation: r.u64()?,
        })
    }
}

/// Who called, once accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Member(u64),
    /// Someone who only asks who is in the cluster.
    Stranger,
}

/// Speaks for this member in handshakes.
#[derive(Debug)]
pub(crate) struct Greeter<E: Env> {
    pub(crate) identity: Identity,
    pub(crate) known: KnownPeers,
    pub(crate) shared: Arc<Shared<E>>,
}

impl<E: Env> Greeter<E> {
    /// Opens a connection to a member. The outer error is of the transport.
    pub(crate) async fn call<S>(&self, io: &mut S, to: u64) -> io::Result<Result<(), Refusal>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Identity {
            member_id,
            cluster_id,
            incarnation,
            ..
        } = self.identity;
        let hello = Hello {
            cluster_id,
            from: member_id,
            to,
            incarnation,
        };
        let body = exchange(io, hello).await?;
        let mut r = Reader::new(body, "peer answer");
        let mut parse = || -> Result<Result<u64, Refusal>, Malformed> {
            Ok(match r.u8()? {
                0 => Ok(r.u64()?),
                n => Err(Refusal::from_number(n)?),
            })
        };
        match parse().map_err(io::Error::other)? {
            Err(refusal) => Ok(Err(refusal)),
            Ok(theirs) if self.admit(to, theirs)? => Ok(Ok(())),
            Ok(_) => Err(io::Error::other(format!(
                "member {to:x} answers with other data than it had: it must be removed and added again"
            ))),
        }
    }

    /// Answers a caller.
    pub(crate) async fn answer<S>(&self, io: &mut S) -> io::Result<Result<Caller, Refusal>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(frame) = read_frame(io).await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if frame.kind != KIND_HELLO {
            return Err(io::Error::other(
                "a connection did not start with a greeting",
            ));
        }
        let hello = Hello::decode(frame.body).map_err(io::Error::other)?;
        let verdict = self.judge(hello)?;
        let mut out = BytesMut::new();
        match verdict {
            Ok(_) => {
                out.put_u8(0);
                out.put_u64_le(self.identity.incarnation);
            }
            Err(refusal) => out.put_u8(refusal.number()),
        }
        write_frame(
            io,
            &Frame {
                kind: KIND_HELLO,
                id: 0,
                body: out.freeze(),
            },
        )
        .await?;
        Ok(verdict)
    }

    fn judge(&self, hello: Hello) -> io::Result<Result<Caller, Refusal>> {
        if (hello.from, hello.cluster_id) == (0, 0) {
            return Ok(Ok(Caller::Stranger));
        }
        if hello.cluster_id != self.identity.cluster_id {
            return Ok(Err(Refusal::OtherCluster));
        }
        if hello.to != self.identity.member_id {
            return Ok(Err(Refusal::OtherMember));
        }
        if self.shared.members.load().removed.contains(&hello.from) {
            return Ok(Err(Refusal::Removed));
        }
        if !self.admit(hello.from, hello.incarnation)? {
            return Ok(Err(Refusal::OtherIncarnation));
        }
        Ok(Ok(Caller::Member(hello.from)))
    }

    /// Whether a member has the data it had when the cluster or this member met it first.
    fn admit(&self, id: u64, incarnation: u64) -> io::Result<bool> {
        let members = self.shared.members.load();
        // Its former self has nothing to say any more, and it is not back yet.
        if members.repairing.contains_key(&id) {
            return Ok(false);
        }
        let published = members.attributes.get(&id).map(|a| a.incarnation);
        self.known.admit(id, incarnation, published)
    }
}

/// Greets without being a member, to ask who is in the cluster.
pub(crate) async fn call_as_stranger<S>(io: &mut S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let body = exchange(
        io,
        Hello {
            cluster_id: 0,
            from: 0,
            to: 0,
            incarnation: 0,
        },
    )
    .await?;
    if body.first() == Some(&0) {
        return Ok(());
    }
    Err(io::Error::other("the peer refused to answer"))
}

async fn exchange<S>(io: &mut S, hello: Hello) -> io::Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    write_frame(
        io,
        &Frame {
            kind: KIND_HELLO,
            id: 0,
            body: hello.encode(),
        },
    )
    .await?;
    match read_frame(io).await? {
        Some(frame) if frame.kind == KIND_HELLO => Ok(frame.body),
        Some(_) => Err(io::Error::other(
            "a peer answered a greeting with something else",
        )),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
