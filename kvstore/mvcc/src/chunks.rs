//! Answering a range request in pieces, at one revision.

use crate::arena::Arena;
use crate::range::{Rest, copied, has_filters, header, is_default_order};
use crate::view::Span;
use crate::{MvccError, Reader};
use bytes::{BufMut, Bytes, BytesMut};
use mainstay_engine::Engine;
use mainstay_proto::etcdserverpb::{RangeRequest, RangeResponse};
use std::ops::ControlFlow;

/// The pieces of one answer, in order. Merged, they are the answer of [`Reader::range`]. Nothing is held
/// between pieces: if a compaction passes the revision, the next piece is an error.
#[derive(Debug)]
pub struct RangeChunks<E> {
    reader: Reader<E>,
    request: RangeRequest,
    /// The current revision when the request began.
    header_revision: i64,
    /// Keys still wanted; `None` for all.
    wanted: Option<usize>,
    sent: i64,
    done: bool,
}

/// What one piece found.
struct Piece {
    response: RangeResponse,
    /// Where the next piece starts, if there is more in the range.
    next_key: Option<Bytes>,
    /// Keys from `next_key` on, if they were counted.
    rest: i64,
}

impl<E: Engine> RangeChunks<E> {
    /// Pins the revision. Errors: compacted, future revision, and invalid sort option for orders and
    /// filters that need the whole answer at once.
    pub(crate) fn new(reader: Reader<E>, r: &RangeRequest) -> Result<Self, MvccError> {
        if !is_default_order(r) || has_filters(r) {
            return Err(MvccError::InvalidSortOption);
        }
        let mut request = r.clone();
        let (header_revision, revision) =
            reader.read(|view| Ok((view.revision, view.resolve(r.revision)?)))?;
        request.revision = revision;
        let wanted = usize::try_from(r.limit).ok().filter(|limit| *limit > 0);
        Ok(Self {
            reader,
            request,
            header_revision,
            wanted,
            sent: 0,
            done: false,
        })
    }

    /// The next piece: at most `max_keys` (at least one), ending after the key that reaches `max_bytes` of
    /// keys and values. `None` after the last. Only the last has header, `more` and `count`.
    pub fn next_chunk(
        &mut self,
        max_keys: usize,
        max_bytes: usize,
    ) -> Result<Option<RangeResponse>, MvccError> {
        if self.done {
            return Ok(None);
        }
        let r = &self.request;
        if r.count_only {
            let mut response = self.reader.range(r)?;
            response.header = Some(header(self.header_revision));
            self.done = true;
            return Ok(Some(response));
        }
        let max_keys = self
            .wanted
            .map_or(max_keys, |wanted| wanted.min(max_keys))
            .max(1);
        let last_possible = self.wanted == Some(max_keys);
        let piece = self.piece(max_keys, max_bytes, last_possible)?;
        let mut response = piece.response;
        let sent = response.kvs.len();
        self.sent += i64::try_from(sent).unwrap_or(i64::MAX);
        self.wanted = self.wanted.map(|wanted| wanted.saturating_sub(sent));
        match piece.next_key {
            Some(next) if self.wanted != Some(0) => {
                self.request.key = next;
            }
            next => {
                self.done = true;
                response.header = Some(header(self.header_revision));
                response.more = next.is_some();
                response.count = self.sent + piece.rest;
            }
        }
        Ok(Some(response))
    }

    /// Reads one piece; counts what follows it if it may be the last.
    fn piece(
        &self,
        max_keys: usize,
        max_bytes: usize,
        count_rest: bool,
    ) -> Result<Piece, MvccError> {
        let r = &self.request;
        let mut arena = Arena::default();
        let mut kvs = Vec::new();
        let mut bytes = 0;
        let mut next_key = None;
        let mut rest = 0;
        self.reader.read(|view| {
            let revision = view.resolve(r.revision)?;
            let span = Span::new(&r.key, &r.range_end);
            let mut only_counted = Rest::new(view);
            view.visit(span, revision, &mut |key, record| {
                if kvs.len() < max_keys && bytes < max_bytes.max(1) {
                    let kv = copied(&mut arena, key, &record, !r.keys_only);
                    bytes += kv.key.len() + kv.value.len();
                    kvs.push(kv);
                    return ControlFlow::Continue(());
                }
                if next_key.is_none() {
                    next_key = Some(after(&kvs.last().map_or(Bytes::new(), |kv| kv.key.clone())));
                }
                if !count_rest || kvs.len() < max_keys || only_counted.is_full(key) {
                    return ControlFlow::Break(());
                }
                rest += 1;
                ControlFlow::Continue(())
            })?;
            rest += only_counted.count(view, span, revision)?;
            Ok(())
        })?;
        Ok(Piece {
            response: RangeResponse {
                kvs,
                ..RangeResponse::default()
            },
            next_key,
            rest,
        })
    }
}

/// The smallest key greater than `key`.
fn after(key: &Bytes) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.put_u8(0);
    next.freeze()
}
