//! Opening: what is there, what it is worth, and leaving it fit to be written to.

use std::io;
use std::path::{Path, PathBuf};

use crate::entry::LogId;
use crate::error::WalError;
use crate::places::Place;
use crate::record::{Checkpoint, SEGMENT_HEAD_BYTES_MAX, SegmentHead, Traces, salt, traces};
use crate::replay::{Replay, Segment, replay};
use crate::segments::{Name, NextSegment, Storage};
use crate::verdict::{Damage, DamageKind, Recovered};
use crate::view::View;
use crate::witness::{Found, Known, Witness, look};
use crate::writer::Current;

/// Everything the running log starts from.
pub(crate) struct Opened {
    pub(crate) wal_id: u64,
    pub(crate) view: View,
    pub(crate) state: Checkpoint,
    pub(crate) current: Current,
    pub(crate) next_batch: u64,
    pub(crate) witness: Witness,
    pub(crate) free: Vec<u64>,
    pub(crate) next: Option<NextSegment>,
    pub(crate) retired: Vec<Place>,
    pub(crate) recovered: Recovered,
}

/// Opens the log in `storage.dir` with its witness at `witness_path`.
pub(crate) fn open(
    storage: &Storage,
    witness_path: &Path,
    tail_bytes: usize,
) -> Result<Opened, WalError> {
    let opening = |error| WalError::io("opening the log", &storage.dir, error);
    let found = look(&*storage.disk, witness_path).map_err(opening)?;
    let mut recovery = Recovery::look(storage, found, tail_bytes).map_err(opening)?;
    recovery.judge().map_err(opening)?;
    recovery.settle(witness_path).map_err(opening)
}

/// One recovery in progress.
pub(crate) struct Recovery<'a> {
    pub(crate) storage: &'a Storage,
    pub(crate) tail_bytes: usize,
    pub(crate) found: Found,
    pub(crate) segments: Vec<Segment>,
    pub(crate) free: Vec<u64>,
    /// The log proper: sequence numbers of its segments and what they hold. `None`: nothing usable.
    pub(crate) log: Option<(Vec<u64>, Replay)>,
    pub(crate) damage: Option<Damage>,
    /// Highest batch of which there is any trace.
    pub(crate) max_batch: u64,
    pub(crate) dropped_bytes: u64,
    pub(crate) next: Option<NextSegment>,
}

impl<'a> Recovery<'a> {
    fn look(storage: &'a Storage, found: Found, tail_bytes: usize) -> io::Result<Self> {
        let (mut seqs, mut free) = (Vec::new(), Vec::new());
        for name in storage.disk.list(&storage.dir)? {
            match Name::parse(&name) {
                Name::Segment(seq) => seqs.push(seq),
                Name::Free(seq) => free.push(seq),
                Name::Temporary => storage.unlink_if_present(&storage.dir.join(name))?,
                Name::Foreign => {}
            }
        }
        seqs.sort_unstable();
        free.sort_unstable();
        let load = |seq: &u64| load(storage, *seq);
        let segments = seqs.iter().map(load).collect::<io::Result<_>>()?;
        Ok(Self {
            storage,
            tail_bytes,
            found,
            segments,
            free,
            log: None,
            damage: None,
            max_batch: 0,
            dropped_bytes: 0,
            next: None,
        })
    }

    pub(crate) fn known(&self) -> Option<&Known> {
        match &self.found {
            Found::Known { known, .. } => Some(known),
            Found::Absent | Found::Unreadable => None,
        }
    }

    /// Finds the log among the segments and whether it is whole.
    fn judge(&mut self) -> io::Result<()> {
        self.find_log()?;
        if self.log.is_none() {
            return self.judge_nothing();
        }
        if self.damage.is_none() {
            self.judge_end()?;
            if self.damage.is_some() {
                // Once more, now keeping every readable record before the damage.
                self.find_log()?;
            }
        }
        self.make_the_best_of_damage();
        Ok(())
    }

    /// Replays the newest chain of segments whose beginning is not missing.
    fn find_log(&mut self) -> io::Result<()> {
        self.log = None;
        let purged = self.newest_purged();
        let mut below = u64::MAX;
        while let Some(chain) = self.chain(below) {
            let replayed = replay(&chain, self.tail_bytes, self.damage.is_some(), purged)?;
            let last = chain[replayed.last_segment].seq;
            if replayed.lacks_prefix() {
                let missing = chain[0].head.as_ref().map_or(0, |(head, _)| head.prev_seq);
                let kind = DamageKind::SegmentMissing;
                let damage = damage(kind, (missing, 0), &replayed);
                below = chain[0].seq;
                self.damage.get_or_insert(damage);
                continue;
            }
            if replayed.end == 0 && chain.len() > 1 && !replayed.broken {
                // The batch that began the newest segment is incomplete: as if it never began.
                below = last;
                continue;
            }
            let seqs = chain[..=replayed.last_segment]
                .iter()
                .map(|s| s.seq)
                .collect();
            if replayed.end == 0 || replayed.broken {
                let damage = damage(DamageKind::Record, (last, replayed.end), &replayed);
                self.damage.get_or_insert(damage);
            }
            self.log = Some((seqs, replayed));
            break;
        }
        Ok(())
    }

    /// The furthest purge that was ever durable, as far as anything but records tells.
    fn newest_purged(&self) -> Option<LogId> {
        let heads = self
            .segments
            .iter()
            .filter_map(|segment| segment.head.as_ref());
        let purged = heads.filter_map(|(head, _)| head.state.purged);
        purged
            .chain(self.known().and_then(|known| known.state.purged))
            .max_by_key(|id| id.index)
    }

    /// The newest segment below `below` that has a header, with its predecessors, oldest first.
    fn chain(&self, below: u64) -> Option<Vec<&Segment>> {
        let headed = |segment: &&Segment| segment.head.is_some();
        let mut top = self
            .segments
            .iter()
            .rev()
            .filter(headed)
            .find(|s| s.seq < below);
        let mut chain = Vec::new();
        while let Some(segment) = top {
            chain.push(segment);
            let prev = segment.head.as_ref().map_or(0, |(head, _)| head.prev_seq);
            let older = |s: &&Segment| s.seq == prev && prev < segment.seq;
            top = self.segments.iter().filter(headed).find(older);
        }
        chain.reverse();
        (!chain.is_empty()).then_some(chain)
    }

    /// No segment has a valid header: a log that was never completed, or one that is lost.
    fn judge_nothing(&mut self) -> io::Result<()> {
        let kind = match (&self.found, self.segments.as_slice()) {
            (Found::Absent, []) => return Ok(()),
            (_, []) => DamageKind::LogMissing,
            // The witness is created after the first header is durable.
            (Found::Absent, [only]) if only.seq == 1 => {
                let bytes = only.read(only.bytes)?;
                match bytes.get(SEGMENT_HEAD_BYTES_MAX..) {
                    Some(rest) if rest.iter().any(|byte| *byte != 0) => DamageKind::Header,
                    _ => return Ok(()),
                }
            }
            _ => DamageKind::Header,
        };
        let purged = self.known().and_then(|known| known.state.purged);
        self.damage.get_or_insert(Damage {
            segment: self.segments.first().map_or(0, |segment| segment.seq),
            offset: 0,
            what: kind,
            first_lost_index: purged.map_or(0, |id| id.index + 1),
        });
        Ok(())
    }

    /// Tells a torn end from a damaged one.
    fn judge_end(&mut self) -> io::Result<()> {
        let Some((seqs, replay)) = &self.log else {
            return Ok(());
        };
        let last = seqs[replay.last_segment];
        let Some((head, _)) = self.head(last) else {
            return Ok(());
        };
        let (wal_id, fresh) = (head.wal_id, head.fresh);
        let rest = replay.bytes.get(replay.end as usize..).unwrap_or_default();
        let mut found = traces(rest, salt(wal_id, last));
        if fresh {
            // Whatever is not zero was written by an unfinished batch.
            let used = rest
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |at| at + 1);
            found.end = found.end.max(used);
        }
        let (mut max_batch, mut dropped, mut next) = (found.max_batch, found.end, None);
        for segment in self.segments.iter().filter(|segment| segment.seq > last) {
            let bytes = segment.read(segment.bytes)?;
            let Traces {
                max_batch: batch,
                end,
            } = traces(&bytes, salt(wal_id, segment.seq));
            max_batch = max_batch.max(batch);
            dropped += end;
            let usable = end == 0 && segment.head.is_none();
            if usable && segment.seq == last + 1 && segment.bytes == self.storage.segment_bytes {
                next = Some(NextSegment {
                    seq: segment.seq,
                    file: segment.file.clone(),
                    bytes: segment.bytes,
                    fresh: bytes.iter().all(|byte| *byte == 0),
                });
            }
        }
        let place = (last, replay.end);
        // The batch after the last complete one may be torn. Nothing later may exist.
        let mut judged = None;
        if max_batch > replay.batch + 1 {
            judged = Some(DamageKind::Record);
        } else if let Some(known) = self.known() {
            if known.wal_id != wal_id {
                judged = Some(DamageKind::LogMissing);
            } else if known.batch > replay.batch {
                let kind = if max_batch > 0 {
                    DamageKind::Record
                } else {
                    DamageKind::Short
                };
                judged = Some(kind);
            }
        }
        self.damage = judged.map(|kind| damage(kind, place, replay));
        self.max_batch = max_batch;
        self.dropped_bytes = dropped as u64;
        self.next = next;
        Ok(())
    }

    /// Says what is lost, and carries over the newest vote that is known from anywhere.
    fn make_the_best_of_damage(&mut self) {
        let Some(mut damage) = self.damage else {
            return;
        };
        let Some((seqs, mut log)) = self.log.take() else {
            return;
        };
        let lost = log.view.range().end;
        damage.first_lost_index = match damage.what {
            DamageKind::SegmentMissing => lost.min(damage.first_lost_index),
            _ => lost,
        };
        if damage.what != DamageKind::SegmentMissing {
            (damage.segment, damage.offset) = (seqs[log.last_segment], log.end);
        }
        if let Some(earlier) = log.damage {
            damage.first_lost_index = damage.first_lost_index.min(earlier.first_lost_index);
        }
        let mut newest = log.batch;
        let heads = self
            .segments
            .iter()
            .filter_map(|segment| segment.head.as_ref());
        let votes = heads.map(|(head, batch)| (*batch, &head.state.vote));
        for (batch, vote) in votes.chain(self.known().map(|known| (known.batch, &known.state.vote)))
        {
            if batch > newest {
                newest = batch;
                log.vote.clone_from(vote);
            }
        }
        log.view.committed = earlier(log.view.committed, log.view.last());
        self.max_batch = self.max_batch.max(newest);
        self.damage = Some(damage);
        self.log = Some((seqs, log));
    }

    pub(crate) fn head(&self, seq: u64) -> Option<&(SegmentHead, u64)> {
        self.segments
            .iter()
            .find(|segment| segment.seq == seq)?
            .head
            .as_ref()
    }
}

fn load(storage: &Storage, seq: u64) -> io::Result<Segment> {
    let file = storage.disk.open(&storage.segment_path(seq))?;
    let bytes = file.len()?;
    let mut start = vec![0; SEGMENT_HEAD_BYTES_MAX];
    let len = file.read_at(&mut start, 0)?;
    let head = SegmentHead::decode(&start[..len], seq);
    let head = head.map(|(head, record)| (head, record.batch));
    Ok(Segment {
        seq,
        file,
        bytes,
        head,
    })
}

fn damage(what: DamageKind, place: (u64, u64), replay: &Replay) -> Damage {
    let first_lost_index = match what {
        DamageKind::SegmentMissing => replay.view.purged.map_or(0, |id| id.index + 1),
        _ => replay.view.range().end,
    };
    Damage {
        segment: place.0,
        offset: place.1,
        what,
        first_lost_index,
    }
}

fn earlier(committed: Option<LogId>, last: Option<LogId>) -> Option<LogId> {
    match (committed, last) {
        (Some(committed), Some(last)) if committed.index > last.index => Some(last),
        (_, None) => None,
        _ => committed,
    }
}

/// Where the witness of the log in `dir` is kept unless told otherwise: beside it, so that it
/// survives the loss of the directory.
pub(crate) fn default_witness(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".durable");
    dir.with_file_name(name)
}
