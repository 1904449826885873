//! Reading a chain of segments back into a view.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskFile;
use crate::entry::LogId;
use crate::places::Place;
use crate::record::{Checkpoint, Kind, Parsed, Record, SegmentHead, parse, salt};
use crate::verdict::Damage;
use crate::view::View;

/// One segment file as found.
pub(crate) struct Segment {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// The header and its batch, if valid.
    pub(crate) head: Option<(SegmentHead, u64)>,
}

impl Segment {
    /// The bytes `0..end`, or fewer if the file is shorter.
    pub(crate) fn read(&self, end: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; end as usize];
        let len = self.file.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}

/// The log after replaying a chain of segments.
pub(crate) struct Replay {
    pub(crate) view: View,
    pub(crate) vote: Option<Bytes>,
    pub(crate) damage: Option<Damage>,
    /// Batch of the last record that was applied.
    pub(crate) batch: u64,
    /// Position in the chain of the segment where the log ends, and the offset there.
    pub(crate) last_segment: usize,
    pub(crate) end: u64,
    /// A record is unreadable although a later segment exists, or makes no sense.
    pub(crate) broken: bool,
    /// Content of the last segment.
    pub(crate) bytes: Vec<u8>,
    /// Segments that a purge made superfluous.
    pub(crate) retired: Vec<Place>,
    /// The first segment continues entries of segments that are gone.
    continues: bool,
}

/// Replays `chain` (each segment the successor of the one before, all with valid headers). The last
/// one is open: it ends with its last complete batch or, with `keep_partial` (the log is known to
/// be damaged behind its end), with its last record. If the log turns out to be damaged, `purged`
/// (known from elsewhere) tells what is missing rightly.
pub(crate) fn replay(
    chain: &[&Segment],
    tail_bytes: usize,
    keep_partial: bool,
    purged: Option<LogId>,
) -> io::Result<Replay> {
    let mut replay = Replay {
        view: View::new(tail_bytes),
        vote: None,
        damage: None,
        batch: 0,
        last_segment: 0,
        end: 0,
        broken: false,
        bytes: Vec::new(),
        retired: Vec::new(),
        continues: false,
    };
    for (at, segment) in chain.iter().enumerate() {
        let Some((head, _)) = &segment.head else {
            return Err(io::Error::other(
                "a chain of segments holds one without a header",
            ));
        };
        replay.last_segment = at;
        let salt = replay.begin(segment, head, at == 0);
        let next = chain.get(at + 1).and_then(|next| next.head.as_ref());
        // The previous segment's bytes go before the next ones come.
        drop(std::mem::take(&mut replay.bytes));
        let end = next.map_or(segment.bytes, |(next, _)| next.prev_end);
        let bytes = segment.read(end)?;
        let reached = match next {
            Some(_) => replay.walk_sealed(&bytes, salt),
            None => replay.walk_open(&bytes, salt, keep_partial),
        };
        replay.broken |= next.is_some() && reached as u64 != end;
        replay.bytes = bytes;
        replay.end = reached as u64;
        replay.view.places.set_end(replay.end);
        if replay.broken {
            break;
        }
    }
    if replay.broken || keep_partial {
        replay.purge(purged);
    }
    replay.purge(replay.view.purged);
    Ok(replay)
}

impl Replay {
    /// Everything but the entries, as a segment header would hold it now.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            vote: self.vote.clone(),
            committed: self.view.committed,
            purged: self.view.purged,
            last: self.view.last(),
            damage: self.damage,
        }
    }

    /// Entries that were not purged are in none of the segments.
    pub(crate) fn lacks_prefix(&self) -> bool {
        let first = self.view.range().start;
        self.continues && self.view.purged.is_none_or(|id| id.index + 1 < first)
    }

    fn begin(&mut self, segment: &Segment, head: &SegmentHead, first: bool) -> u32 {
        let Checkpoint {
            vote,
            committed,
            purged,
            last,
            damage,
        } = head.state.clone();
        if first {
            self.view.restart_after(purged, last);
            self.continues = last > purged;
        }
        // Later headers repeat what the records before them said.
        self.vote = vote;
        self.view.committed = committed;
        self.damage = damage;
        self.purge(purged);
        let salt = salt(head.wal_id, head.seq);
        self.view
            .places
            .begin_segment(segment.seq, salt, segment.file.clone(), segment.bytes);
        salt
    }

    fn purge(&mut self, upto: Option<LogId>) {
        if let Some(upto) = upto {
            self.view.purge(upto);
            self.retired.extend(self.view.places.purge(upto.index));
        }
    }

    /// Applies records up to the end of `bytes`; returns where that stopped.
    fn walk_sealed(&mut self, bytes: &[u8], salt: u32) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let Some(record) = next_record(bytes, at, salt, self.batch) else {
                break;
            };
            if !self.apply(&record, at) {
                break;
            }
            at += record.bytes;
        }
        at
    }

    /// Applies complete batches; returns where the last one ends.
    fn walk_open(&mut self, bytes: &[u8], salt: u32, keep_partial: bool) -> usize {
        let (mut complete, mut at) = (0, 0);
        let mut batch = Vec::new();
        let mut number = self.batch;
        while let Some(record) = next_record(bytes, at, salt, number) {
            number = record.batch;
            batch.push((at, record));
            at += record.bytes;
            if record.end_of_batch || keep_partial {
                for (offset, record) in batch.drain(..) {
                    if !self.apply(&record, offset) {
                        self.broken = true;
                        return offset;
                    }
                }
                complete = at;
            }
        }
        complete
    }

    /// False if the record makes no sense here.
    fn apply(&mut self, record: &Record<'_>, offset: usize) -> bool {
        match record.kind {
            Kind::Entry => {
                if self.view.check_next(record.id.index).is_err() {
                    return false;
                }
                self.view.push_id(&record.id);
                self.view.places.push(record.id.index, &[offset as u32]);
            }
            Kind::Vote => self.vote = Some(Bytes::copy_from_slice(record.payload)),
            Kind::Committed => self.view.committed = Some(record.id),
            Kind::Truncate => {
                self.view.rewind(record.id.index);
                self.view.places.truncate(record.id.index);
            }
            Kind::Purge => self.purge(Some(record.id)),
            Kind::Repaired => self.damage = None,
            Kind::Segment => {}
        }
        self.batch = record.batch;
        true
    }
}

fn next_record(bytes: &[u8], at: usize, salt: u32, batch: u64) -> Option<Record<'_>> {
    // Padding may have been cut off together with the end of the file.
    match parse(bytes.get(at..)?, salt) {
        Parsed::Good(record) if record.batch >= batch => Some(record),
        _ => None,
    }
}
