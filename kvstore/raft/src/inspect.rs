//! A look inside a member: what Raft believes, and what log entries say. For checkers and tools.

use mainstay_wal::LogId;
use openraft::EntryPayload;
use openraft::async_runtime::watch::WatchReceiver;

use crate::codec::{entry_from_wal, log_id_to_wal};
use crate::command::decode;
use crate::env::Env;
use crate::node::Node;

pub use crate::codec::Malformed;
pub use crate::command::Decoded;

/// A vote: for whom in which term, and whether a quorum has granted it. Ordered as Raft orders votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    pub term: u64,
    pub node: u64,
    pub granted: bool,
}

/// What Raft believes of itself at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub vote: Ballot,
    /// Known here to be committed and present in the log or the state machine.
    pub committed: Option<LogId>,
    /// Index up to which results were handed out.
    pub applied: u64,
    /// Where the newest snapshot ends, made or received.
    pub snapshot: Option<LogId>,
    /// The voters of the newest configuration.
    pub voters: Vec<u64>,
}

/// A log entry's content.
#[derive(Debug)]
pub enum Content {
    /// What a new leader begins with.
    Blank,
    /// A configuration; its voters.
    Membership(Vec<u64>),
    Command(Decoded),
}

/// What an entry of the log says.
pub fn content(entry: mainstay_wal::Entry) -> Result<Content, Malformed> {
    Ok(match entry_from_wal(entry)?.payload {
        EntryPayload::Blank => Content::Blank,
        EntryPayload::Membership(m) => Content::Membership(m.voter_ids().collect()),
        EntryPayload::Normal(cmd) => Content::Command(decode(cmd.0)?.1),
    })
}

impl<E: Env> Node<E> {
    /// What Raft believes now; cheap.
    #[must_use]
    pub fn look(&self) -> Look {
        let metrics = self.inner.raft.metrics();
        let m = metrics.borrow_watched();
        Look {
            vote: Ballot {
                term: m.vote.leader_id.term,
                node: m.vote.leader_id.node_id,
                granted: m.vote.committed,
            },
            committed: m.local_committed.as_ref().map(log_id_to_wal),
            applied: *self.inner.shared.applied.borrow(),
            snapshot: m.snapshot.as_ref().map(log_id_to_wal),
            voters: m.membership_config.voter_ids().collect(),
        }
    }
}
