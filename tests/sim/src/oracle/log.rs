//! Raft's promises, checked on all members' logs at every step.

use std::collections::BTreeMap;

use mainstay_raft::inspect::{Ballot, Content, content};
use mainstay_wal::{Entry, LogId, Wal};

use super::model::Model;
use super::{Checked, violated};
use crate::host::SimNode;

/// What is known of one member's log since its process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    process: u64,
    /// Every entry below was looked at.
    next: u64,
    last: Option<LogId>,
    committed: u64,
    /// Ids as last seen, for entries that are purged before they are known to be committed.
    ids: BTreeMap<u64, LogId>,
    /// The highest vote that was durable, over all processes.
    vote: Ballot,
}

/// A committed entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    pub(crate) id: LogId,
    hash: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct LogOracle {
    seen: Vec<Seen>,
    /// Every entry ever seen: the same id is the same entry. Read when they are new, since a disk may
    /// fail later.
    entries: BTreeMap<LogId, (u64, Entry)>,
    /// Index i of the log at position i; the first entry is the founding one.
    committed: Vec<Committed>,
    /// Terms and who was granted them.
    leaders: BTreeMap<(u64, u64), u64>,
    /// Sum of a database's records at an applied index.
    states: BTreeMap<u64, u64>,
    pub(crate) truncations: u64,
    pub(crate) elections: u64,
    pub(crate) voters: Vec<u64>,
}

fn hash(kind: u8, payload: &[u8]) -> u64 {
    u64::from(crc32fast::hash(payload)) << 8 | u64::from(kind)
}

impl LogOracle {
    pub(crate) fn new() -> Self {
        Self {
            seen: Vec::new(),
            entries: BTreeMap::new(),
            committed: Vec::new(),
            leaders: BTreeMap::new(),
            states: BTreeMap::new(),
            truncations: 0,
            elections: 0,
            voters: Vec::new(),
        }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.len() as u64
    }

    /// Looks at a member after a step. New committed entries go into the model.
    pub(crate) fn look(
        &mut self,
        host: usize,
        process: u64,
        node: &SimNode,
        model: &mut Model,
        into: &mut dyn FnMut(u64, Content),
    ) -> Checked {
        self.seen
            .resize_with(self.seen.len().max(host + 1), Seen::default);
        let seen = &mut self.seen[host];
        let look = node.look();
        if seen.process != process {
            let vote = seen.vote;
            *seen = Seen {
                process,
                vote: look.vote,
                ..Seen::default()
            };
            if (look.vote.term, look.vote.node) < (vote.term, vote.node) {
                violated!(
                    "m{host} had voted {vote:?} durably and after a restart knows only {:?}",
                    look.vote
                );
            }
        }
        if look.vote < seen.vote {
            violated!(
                "m{host}'s vote went back from {:?} to {:?}",
                seen.vote,
                look.vote
            );
        }
        if node.wal().oldest_unsynced().is_none() {
            seen.vote = look.vote;
        }
        self.read_new(host, node.wal())?;
        // What was handed out is committed, whether Raft's own figure has followed or not.
        // Raft decides a moment before the log follows.
        let there = |id: &LogId| node.wal().log_id(id.index).ok().flatten() == Some(*id);
        let known = look.committed.filter(there).map_or(0, |id| id.index + 1);
        let known = known.max(if look.applied > 0 {
            look.applied + 1
        } else {
            0
        });
        self.read_committed(host, node.wal(), known, model, into)?;
        if look.vote.granted && look.vote.node == node.member_id() {
            self.lead(host, look.vote, node.wal())?;
            self.voters = look.voters;
        }
        Ok(())
    }

    /// Log matching: the same id is the same entry, on whatever member.
    fn read_new(&mut self, host: usize, wal: &Wal) -> Checked {
        let state = wal.state();
        let seen = &mut self.seen[host];
        if state.last == seen.last && state.next_index == seen.next {
            return Ok(());
        }
        let mut from = seen.next;
        if let Some(last) = seen.last
            && (state.next_index < seen.next || wal.log_id(last.index).ok().flatten() != Some(last))
            && state.purged.is_none_or(|purged| purged.index < last.index)
        {
            self.truncations += 1;
            // Cut off and perhaps written anew: entries that were checked before are checked again.
            from = 0;
        }
        let mut from = from.max(state.first_index);
        while from < state.next_index {
            let entries = match wal.read(from..state.next_index, 1 << 20) {
                Ok(entries) if !entries.is_empty() => entries,
                // A disk may fail; the member itself has to cope.
                _ => break,
            };
            for entry in entries {
                from = entry.id.index + 1;
                let new = hash(entry.kind, &entry.payload);
                let id = entry.id;
                seen.ids.insert(id.index, id);
                let (old, _) = self.entries.entry(id).or_insert((new, entry));
                if *old != new {
                    violated!("entry {id:?} on m{host} is not what it is elsewhere");
                }
            }
        }
        seen.next = state.next_index;
        seen.last = state.last;
        Ok(())
    }

    fn read_committed(
        &mut self,
        host: usize,
        wal: &Wal,
        known: u64,
        model: &mut Model,
        into: &mut dyn FnMut(u64, Content),
    ) -> Checked {
        let mut index = self.seen[host].committed;
        let first = wal.state().first_index;
        if index < first && first <= self.committed() {
            index = first;
        }
        while index < known {
            let id = wal.log_id(index).ok().flatten();
            let seen = &self.seen[host];
            let id = id.or_else(|| seen.ids.get(&index).copied().filter(|_| index < first));
            // Otherwise it came as a snapshot.
            let Some((hash, entry)) = id.and_then(|id| self.entries.get(&id)) else {
                break;
            };
            let new = Committed {
                id: entry.id,
                hash: *hash,
            };
            match self.committed.get(index as usize) {
                Some(old) if old.id != new.id || old.hash != new.hash => violated!(
                    "committed entry {index} was {:?} and is {:?} on m{host}",
                    old.id,
                    new.id
                ),
                Some(_) => {}
                None if index == self.committed() => {
                    self.committed.push(new);
                    match content(entry.clone()) {
                        Ok(content) => {
                            if let Content::Command(command) = &content {
                                model.apply(command);
                            }
                            into(index, content);
                        }
                        Err(e) => violated!("committed entry {index} on m{host}: {e}"),
                    }
                }
                None => break,
            }
            index += 1;
        }
        let seen = &mut self.seen[host];
        seen.committed = index;
        seen.ids = seen.ids.split_off(&index);
        Ok(())
    }

    /// A new leader has every entry that was committed before it was elected.
    fn lead(&mut self, host: usize, vote: Ballot, wal: &Wal) -> Checked {
        if self.leaders.contains_key(&(vote.term, vote.node)) {
            return Ok(());
        }
        self.leaders
            .insert((vote.term, vote.node), self.committed());
        self.elections += 1;
        let newest = self.committed.last().map(|c| (c.id.term, c.id.leader));
        if newest.is_some_and(|newest| newest > (vote.term, vote.node)) {
            // Deposed before it was looked at; it can commit nothing.
            return Ok(());
        }
        let state = wal.state();
        for committed in self.committed.iter().rev() {
            if state
                .purged
                .is_some_and(|purged| committed.id.index <= purged.index)
            {
                break;
            }
            let own = wal.log_id(committed.id.index).ok().flatten();
            if own != Some(committed.id) {
                violated!(
                    "m{host} leads as {vote:?} without the committed entry {:?}; it has {own:?}",
                    committed.id
                );
            }
        }
        Ok(())
    }

    /// Databases at the same applied index hold the same.
    pub(crate) fn state(&mut self, host: usize, applied: u64, sum: u64) -> Checked {
        let old = *self.states.entry(applied).or_insert(sum);
        if old != sum {
            violated!("m{host}'s data at applied index {applied} differs from another member's");
        }
        Ok(())
    }
}
