//! The second half of recovery: leaving the directory fit to be written to.

use std::io::{self, IoSlice};
use std::path::Path;

use crate::limits::FREE_SEGMENTS_MAX;
use crate::record::{Checkpoint, SEGMENT_HEAD_BYTES_MAX, SegmentHead, salt, seal};
use crate::recover::{Opened, Recovery};
use crate::segments::zero;
use crate::verdict::{Recovered, Verdict};
use crate::view::View;
use crate::witness::{Found, Known, Witness};
use crate::writer::Current;

impl Recovery<'_> {
    /// Makes the disk agree with the judgement.
    pub(crate) fn settle(mut self, witness_path: &Path) -> io::Result<Opened> {
        let was_there = self.log.is_some();
        let (mut view, mut state, mut batch, mut retired, mut end) = (
            View::new(self.tail_bytes),
            Checkpoint::default(),
            0,
            Vec::new(),
            0,
        );
        let mut seqs = Vec::new();
        if let Some((chain, replay)) = self.log.take() {
            state = replay.checkpoint();
            (batch, end) = (replay.batch, replay.end);
            (view, retired, seqs) = (replay.view, replay.retired, chain);
        } else if let Some(known) = self.known() {
            state.vote = known.state.vote.clone();
        }
        view.vote.clone_from(&state.vote);
        let next = view.range().end;
        view.set_durable(next, view.epoch);
        if self.damage.is_some() {
            state.damage = self.damage;
        }
        let wal_id = self.wal_id(seqs.last().copied());
        let current = match (seqs.last(), self.damage) {
            (Some(last), None) => self.reopen(*last, end)?,
            (last, _) => {
                let newest = self.known().map_or(0, |known| known.batch);
                batch = batch.max(self.max_batch).max(newest) + 1;
                let prev = (last.copied().unwrap_or(0), end);
                self.begin_anew(wal_id, prev, batch, &state, &mut view)?
            }
        };
        self.put_away(&seqs, current.seq)?;
        let known = Known {
            wal_id,
            seq: current.seq,
            batch,
            state: state.clone(),
        };
        let no_fsync = self.storage.no_fsync;
        let disk = &*self.storage.disk;
        let witness = Witness::start(disk, witness_path, &self.found, &known, no_fsync)?;
        let witness_missing = was_there && batch > 1 && self.known().is_none();
        let recovered = Recovered {
            witness_missing,
            witness_torn: matches!(
                self.found,
                Found::Known {
                    other_torn: true,
                    ..
                }
            ),
            ..recovered(&view, &state, self.dropped_bytes)
        };
        Ok(Opened {
            wal_id,
            view,
            state,
            current,
            next_batch: batch + 1,
            witness,
            free: self.free,
            next: self.next,
            retired,
            recovered,
        })
    }

    fn wal_id(&self, last: Option<u64>) -> u64 {
        match (last.and_then(|seq| self.head(seq)), self.known()) {
            (Some((head, _)), _) => head.wal_id,
            (None, Some(known)) => known.wal_id,
            (None, None) => self.storage.disk.entropy(),
        }
    }

    /// Goes on in segment `last` at `end`: wipes what was torn and makes sure that everything that
    /// was read is durable (after a mere crash of the process it may not be).
    fn reopen(&mut self, last: u64, end: u64) -> io::Result<Current> {
        let segment = self.segments.iter().find(|segment| segment.seq == last);
        let segment = segment.ok_or(io::ErrorKind::NotFound)?;
        let bytes = segment.bytes.max(self.storage.segment_bytes);
        if self.dropped_bytes > 0 {
            zero(&*segment.file, end, segment.bytes)?;
        }
        if segment.bytes < bytes {
            segment.file.allocate(bytes)?;
        }
        self.storage.sync(&*segment.file)?;
        Ok(Current {
            seq: last,
            file: segment.file.clone(),
            bytes,
            end,
        })
    }

    /// Begins a new segment behind `prev`: the first one ever, or the first after damage.
    fn begin_anew(
        &mut self,
        wal_id: u64,
        prev: (u64, u64),
        batch: u64,
        state: &Checkpoint,
        view: &mut View,
    ) -> io::Result<Current> {
        self.next = None;
        let fresh = self.damage.is_none();
        let seen = self
            .segments
            .iter()
            .map(|segment| segment.seq)
            .chain(self.free.iter().copied());
        let seq = match seen.chain(self.known().map(|known| known.seq)).max() {
            // Left over from a first start that was cut short.
            Some(1) if fresh => {
                self.storage
                    .unlink_if_present(&self.storage.segment_path(1))?;
                self.segments.clear();
                1
            }
            newest => newest.unwrap_or(0) + 1,
        };
        let bytes = self.storage.segment_bytes;
        let file = self.storage.create_segment(seq, bytes)?;
        let (prev_seq, prev_end) = prev;
        let state = state.clone();
        let head = SegmentHead {
            wal_id,
            seq,
            prev_seq,
            prev_end,
            fresh: true,
            state,
        };
        let mut record = Vec::with_capacity(SEGMENT_HEAD_BYTES_MAX);
        head.encode(&mut record);
        seal(&mut record, salt(wal_id, seq), batch, true);
        if let Some(last) = self.segments.iter().find(|segment| segment.seq == prev_seq) {
            self.storage.sync(&*last.file)?;
        }
        file.write_at(&[IoSlice::new(&record)], 0)?;
        self.storage.sync(&*file)?;
        view.places
            .begin_segment(seq, salt(wal_id, seq), file.clone(), bytes);
        view.places.set_end(record.len() as u64);
        Ok(Current {
            seq,
            file,
            bytes,
            end: record.len() as u64,
        })
    }

    /// Removes what is not part of the log. What may be worth a look after damage is only renamed.
    fn put_away(&mut self, seqs: &[u64], current: u64) -> io::Result<()> {
        let storage = self.storage;
        let next = self.next.as_ref().map(|next| next.seq);
        let first = seqs.first().copied().unwrap_or(0);
        let stray = |seq: u64| seq != current && Some(seq) != next && !seqs.contains(&seq);
        for segment in self.segments.iter().filter(|segment| stray(segment.seq)) {
            let path = storage.segment_path(segment.seq);
            if self.damage.is_some() && segment.seq > first {
                storage
                    .disk
                    .rename(&path, &storage.sidelined_path(segment.seq))?;
            } else {
                storage.disk.unlink(&path)?;
            }
        }
        let mut kept = Vec::new();
        for free in std::mem::take(&mut self.free) {
            let path = storage.free_path(free);
            let bytes = storage.disk.open(&path)?.len()?;
            if bytes == storage.segment_bytes && kept.len() < FREE_SEGMENTS_MAX {
                kept.push(free);
            } else {
                storage.disk.unlink(&path)?;
            }
        }
        self.free = kept;
        // Also for names that were found: see `Witness::start`.
        storage.sync_dir()?;
        Ok(())
    }
}

fn recovered(view: &View, state: &Checkpoint, dropped: u64) -> Recovered {
    let verdict = match state.damage {
        Some(damage) => Verdict::Damaged(damage),
        None if dropped > 0 => Verdict::TornTail {
            dropped_bytes: dropped,
        },
        None => Verdict::Intact,
    };
    Recovered {
        vote: state.vote.clone(),
        committed: state.committed,
        purged: state.purged,
        first: view.first(),
        last: if view.is_empty() { None } else { view.last() },
        verdict,
        witness_missing: false,
        witness_torn: false,
    }
}
