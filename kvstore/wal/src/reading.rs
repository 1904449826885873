//! Reading entries: from memory if they are recent, else from their segments.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::HEADER_BYTES;
use crate::entry::Entry;
use crate::error::WalError;
use crate::limits::{READ_BYTES_MAX, READ_CHUNK_BYTES};
use crate::places::Span;
use crate::record::{Kind, Parsed, parse};
use crate::wal::Wal;

impl Wal {
    /// Entries of `range` from its start on, as many as lie within `max_bytes` (at least one if it
    /// is present) and can be had in one piece: fewer than asked for does not mean the end. Recent
    /// entries come from memory, older ones from disk.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>, WalError> {
        let span = {
            let view = self.shared.view.read();
            let present = view.range();
            let end = range.end.min(present.end);
            if range.start < present.start || range.start >= end {
                return Ok(Vec::new());
            }
            if range.start >= view.tail_first() {
                return Ok(view.tail_entries(range.start..end, max_bytes));
            }
            let want = end.min(view.tail_first()) - range.start;
            let budget = max_bytes.clamp(READ_CHUNK_BYTES, READ_BYTES_MAX) as u64;
            view.places.span(range.start, want, budget)
        };
        let corrupt = |what| WalError::Corrupt {
            segment: 0,
            offset: 0,
            what,
        };
        let span = span.ok_or_else(|| corrupt("an entry is neither in memory nor on disk"))?;
        self.read_span(&span, range.start, max_bytes)
    }

    fn read_span(&self, span: &Span, first: u64, budget: usize) -> Result<Vec<Entry>, WalError> {
        let start = u64::from(span.offsets[0]);
        let mut bytes = vec![0; (span.end - start) as usize];
        let path = || self.shared.storage.segment_path(span.seq);
        let read = span.file.read_at(&mut bytes, start);
        let read = read.map_err(|error| WalError::io("reading the log", path(), error))?;
        bytes.truncate(read);
        let bytes = Bytes::from(bytes);
        let mut entries = Vec::with_capacity(span.offsets.len());
        let mut used = 0;
        for (index, offset) in (first..).zip(&span.offsets) {
            let at = (u64::from(*offset) - start) as usize;
            let corrupt = |what| {
                let (segment, offset) = (span.seq, u64::from(*offset));
                Err(WalError::Corrupt {
                    segment,
                    offset,
                    what,
                })
            };
            let record = match parse(bytes.get(at..).unwrap_or_default(), span.salt) {
                Parsed::Good(record) => record,
                Parsed::BadPayload => return corrupt("payload checksum does not match"),
                Parsed::Nothing => return corrupt("record header checksum does not match"),
            };
            if record.kind != Kind::Entry || record.id.index != index {
                return corrupt("another record is where the entry should be");
            }
            used += HEADER_BYTES + record.payload.len();
            if used > budget && !entries.is_empty() {
                break;
            }
            let payload = bytes.slice_ref(record.payload);
            entries.push(Entry {
                id: record.id,
                kind: record.tag,
                payload,
            });
        }
        Ok(entries)
    }
}
