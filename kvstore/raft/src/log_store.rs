//! openraft's log storage on our write-ahead log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use mainstay_planted::{Bug, has};
use mainstay_wal::{Wal, WalError};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::{LogState, OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::codec::{
    decode_vote, encode_vote, entry_from_wal, entry_to_wal, log_id_from_wal, log_id_to_wal,
};
use crate::limits::{APPEND_BYTES_MAX, APPLY_READ_BYTES_MAX};
use crate::repair::{Damage, Kind};
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// The log as openraft writes it: one per member, used by Raft's core task only.
#[derive(Debug)]
pub(crate) struct LogStore {
    reader: LogReader,
    committed: Option<LogId>,
}

/// A reader of the log; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LogReader {
    wal: Arc<Wal>,
    vote: Arc<Mutex<Option<Vote>>>,
    damage: Arc<Damage>,
}

impl LogStore {
    /// `vote` and `committed` are what recovery found.
    pub(crate) fn new(
        wal: Arc<Wal>,
        vote: Option<Bytes>,
        committed: Option<mainstay_wal::LogId>,
        damage: Arc<Damage>,
    ) -> io::Result<Self> {
        let vote = vote
            .map(decode_vote)
            .transpose()
            .map_err(io::Error::other)?;
        Ok(Self {
            reader: LogReader {
                wal,
                vote: Arc::new(Mutex::new(vote)),
                damage,
            },
            committed: committed.map(|id| log_id_from_wal(&id)),
        })
    }
}

fn io_error(e: WalError) -> io::Error {
    io::Error::other(e)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.reader.wal.state();
        let last_purged_log_id = state.purged.as_ref().map(log_id_from_wal);
        let last = state.last.as_ref().map(log_id_from_wal);
        Ok(LogState {
            last_purged_log_id,
            last_log_id: last.or(last_purged_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        if has(Bug::VoteForgotten) {
            *self.reader.vote.lock() = Some(*vote);
            return Ok(());
        }
        let (tx, rx) = oneshot::channel();
        self.reader.wal.save_vote(
            encode_vote(vote),
            Box::new(move |result| drop(tx.send(result))),
        );
        durable(rx).await?;
        *self.reader.vote.lock() = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.committed = committed;
        if let Some(id) = committed {
            self.reader.wal.save_committed(log_id_to_wal(&id));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(entry_to_wal).collect();
        let done = Box::new(move |result: Result<(), WalError>| {
            callback.io_completed(result.map_err(io_error));
        });
        self.reader.wal.append(entries, done).map_err(io_error)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let (tx, rx) = oneshot::channel();
        self.reader.wal.truncate_after(
            last_log_id.map(|id| id.index),
            Box::new(move |result| drop(tx.send(result))),
        );
        durable(rx).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        // Not waited for: a purge that is lost only keeps entries that nobody needs.
        self.reader
            .wal
            .purge(log_id_to_wal(&log_id), Box::new(|_| ()));
        Ok(())
    }
}

async fn durable(rx: oneshot::Receiver<Result<(), WalError>>) -> Result<(), io::Error> {
    match rx.await {
        Ok(result) => result.map_err(io_error),
        Err(_) => Err(io::Error::other("the log's writer has stopped")),
    }
}

/// The half-open index range of any range of indexes.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(i) => *i,
        Bound::Excluded(i) => i.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(i) => i.saturating_add(1),
        Bound::Excluded(i) => *i,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl LogReader {
    fn read(&self, start: u64, end: u64, max_bytes: usize) -> Result<Vec<Entry>, io::Error> {
        let read = self.wal.read(start..end, max_bytes).map_err(io_error);
        let entries = read.and_then(|entries| {
            let entries = entries.into_iter();
            entries
                .map(|e| entry_from_wal(e).map_err(io::Error::other))
                .collect()
        });
        entries.inspect_err(|e| self.damage.note(Kind::Log, e))
    }
}

impl RaftLogReader<TypeConfig> for LogReader {
    /// All entries of the range, read in bounded pieces as the state machine takes them.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let reader = self.clone();
        let state = (reader, start, Vec::new().into_iter());
        stream::unfold(state, move |(reader, next, mut entries)| async move {
            if let Some(entry) = entries.next() {
                return Some((Ok(entry), (reader, next, entries)));
            }
            if next >= end {
                return None;
            }
            match reader.read(next, end, APPLY_READ_BYTES_MAX) {
                Ok(read) => {
                    let mut entries = read.into_iter();
                    let count = entries.len() as u64;
                    let first = entries.next()?;
                    Some((Ok(first), (reader, next + count, entries)))
                }
                Err(e) => Some((Err(e), (reader, end, Vec::new().into_iter()))),
            }
        })
    }

    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (mut start, end) = bounds(&range);
        let mut all = Vec::new();
        while start < end {
            let read = self.read(start, end, APPLY_READ_BYTES_MAX)?;
            if read.is_empty() {
                break;
            }
            start += read.len() as u64;
            all.extend(read);
        }
        Ok(all)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, APPEND_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(*self.vote.lock())
    }
}
