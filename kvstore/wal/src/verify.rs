//! Reading the log again while it runs, to find damage before it is needed.

use std::ops::ControlFlow;

use crate::error::WalError;
use crate::limits::VERIFY_PIECE_BYTES;
use crate::places::Span;
use crate::record::{Parsed, RECORD_HEADER_BYTES, announced_bytes, parse};
use crate::segments::Name;
use crate::wal::Wal;
use crate::witness::{Found, look};

/// Told how many bytes were read since the last call, so that it can hold the reader back or end the work.
pub type Pace<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// What was read and found whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    pub segments: u64,
    pub bytes: u64,
}

impl Wal {
    /// Reads every durable record of the log and looks at the witness. Waits for the disk.
    /// Errors: corrupt, with segment and offset (segment 0 for the witness).
    pub fn verify(&self, pace: &mut Pace<'_>) -> Result<Verified, WalError> {
        let mut verified = Verified::default();
        let segments = self.shared.view.read().places.segments();
        for seq in segments {
            // Holding the file keeps it from being recycled meanwhile.
            let Some(span) = self.shared.view.read().places.whole(seq) else {
                continue;
            };
            self.verify_presence(seq)?;
            if self.verify_segment(&span, pace, &mut verified.bytes)? {
                return Ok(verified);
            }
            verified.segments += 1;
        }
        self.verify_witness()?;
        Ok(verified)
    }

    /// An open file can be read although its name is gone; after the next start it could not.
    fn verify_presence(&self, seq: u64) -> Result<(), WalError> {
        let storage = &self.shared.storage;
        let names = storage.disk.list(&storage.dir);
        let names = names.map_err(|e| WalError::io("listing the log", &storage.dir, e))?;
        let there = names
            .iter()
            .any(|name| Name::parse(name) == Name::Segment(seq));
        // It may have been put away meanwhile.
        if there || self.shared.view.read().places.whole(seq).is_none() {
            return Ok(());
        }
        Err(WalError::Corrupt {
            segment: seq,
            offset: 0,
            what: "the file is gone",
        })
    }

    /// True if `pace` ended it.
    fn verify_segment(
        &self,
        span: &Span,
        pace: &mut Pace<'_>,
        read: &mut u64,
    ) -> Result<bool, WalError> {
        let corrupt = |offset, what| {
            let segment = span.seq;
            WalError::Corrupt {
                segment,
                offset,
                what,
            }
        };
        let (mut at, mut batch) = (0, 0);
        while at < span.end {
            let bytes = self.piece(span, at)?;
            let mut used = 0;
            while at + (used as u64) < span.end {
                let offset = at + used as u64;
                match parse(&bytes[used..], span.salt) {
                    Parsed::Good(record) if record.batch >= batch => {
                        batch = record.batch;
                        used += record.bytes;
                    }
                    Parsed::Good(_) => return Err(corrupt(offset, "records are out of order")),
                    // The piece may end within a record; the next one begins with it.
                    _ if used > 0 && is_cut(&bytes[used..], span, offset) => break,
                    Parsed::BadPayload => {
                        return Err(corrupt(offset, "payload checksum does not match"));
                    }
                    Parsed::Nothing => {
                        return Err(corrupt(offset, "record header checksum does not match"));
                    }
                }
            }
            at += used as u64;
            *read += used as u64;
            if pace(used as u64).is_break() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes from `at` on: some, and the whole of the first record.
    fn piece(&self, span: &Span, at: u64) -> Result<Vec<u8>, WalError> {
        let mut bytes = self.read_piece(span, at, VERIFY_PIECE_BYTES)?;
        if let Some(len) = announced_bytes(&bytes, span.salt)
            && len > bytes.len()
        {
            bytes = self.read_piece(span, at, len)?;
        }
        Ok(bytes)
    }

    fn read_piece(&self, span: &Span, at: u64, len: usize) -> Result<Vec<u8>, WalError> {
        let left = usize::try_from(span.end - at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let path = || self.shared.storage.segment_path(span.seq);
        let read = span.file.read_at(&mut bytes, at);
        let read = read.map_err(|error| WalError::io("reading the log", path(), error))?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The file must be there with one readable record at least; the other may be being written.
    fn verify_witness(&self) -> Result<(), WalError> {
        let path = &self.shared.witness_path;
        let found = look(&*self.shared.storage.disk, path);
        let what = match found.map_err(|error| WalError::io("reading the witness", path, error))? {
            Found::Known { .. } => return Ok(()),
            Found::Absent => "the witness is gone",
            Found::Unreadable => "the witness is unreadable",
        };
        Err(WalError::Corrupt {
            segment: 0,
            offset: 0,
            what,
        })
    }
}

/// Whether what begins at `offset` goes on behind the piece.
fn is_cut(rest: &[u8], span: &Span, offset: u64) -> bool {
    let len = match announced_bytes(rest, span.salt) {
        Some(len) => len,
        None if rest.len() < RECORD_HEADER_BYTES => RECORD_HEADER_BYTES,
        None => return false,
    };
    len > rest.len() && offset + rest.len() as u64 != span.end
}
