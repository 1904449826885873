//! The bytes of a list, joined into chunks as they are sent: nothing of it is ever whole.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_apistore::Object;

use crate::limits::LIST_CHUNK_BYTES;

/// Appends one object in the form that was asked for.
pub(super) type Write = dyn FnMut(&Object, &mut Vec<u8>) + Send;

/// A list whose items are written when they are due.
pub(super) struct Pieces {
    head: Option<String>,
    objects: std::vec::IntoIter<Arc<Object>>,
    write: Box<Write>,
    /// Whether something follows without a comma.
    first: bool,
    done: bool,
}

impl Pieces {
    /// `head` goes up to the bracket before the first item.
    pub(super) fn new(head: String, objects: Vec<Arc<Object>>, write: Box<Write>) -> Self {
        Self {
            head: Some(head),
            objects: objects.into_iter(),
            write,
            first: true,
            done: false,
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.done {
            return None;
        }
        let mut chunk = Vec::with_capacity(LIST_CHUNK_BYTES + LIST_CHUNK_BYTES / 4);
        if let Some(head) = self.head.take() {
            chunk.extend_from_slice(head.as_bytes());
        }
        while chunk.len() < LIST_CHUNK_BYTES {
            let Some(object) = self.objects.next() else {
                chunk.extend_from_slice(b"]}\n");
                self.done = true;
                break;
            };
            let before = chunk.len();
            if !self.first {
                chunk.push(b',');
            }
            let item = chunk.len();
            (self.write)(&object, &mut chunk);
            match chunk.len() == item {
                // Nothing was written, so there is nothing to part.
                true => chunk.truncate(before),
                false => self.first = false,
            }
        }
        Some(chunk.into())
    }
}
