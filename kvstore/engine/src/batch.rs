//! An engine-neutral list of writes that is applied atomically.

use crate::Cf;

/// Writes to any column families, applied in order and all at once by [`crate::Engine::write`].
///
/// All keys and values lie in one buffer, so that adding an operation costs no allocation of its own.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ops: Vec<Op>,
}

#[derive(Clone, Copy, Debug)]
struct Op {
    kind: Kind,
    cf: Cf,
    at: usize,
    key_len: u32,
    value_len: u32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Put,
    Delete,
    DeleteRange,
}

/// One operation of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOp<'a> {
    /// Sets `key` to `value`.
    Put {
        cf: Cf,
        key: &'a [u8],
        value: &'a [u8],
    },
    /// Removes `key` if present.
    Delete { cf: Cf, key: &'a [u8] },
    /// Removes every key in `[start, end)`.
    DeleteRange {
        cf: Cf,
        start: &'a [u8],
        end: &'a [u8],
    },
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) {
        self.push(Kind::Put, cf, &[key], &[value]);
    }

    /// Like [`Batch::put`] with key and value given in pieces, which are concatenated.
    pub fn put_parts(&mut self, cf: Cf, key: &[&[u8]], value: &[&[u8]]) {
        self.push(Kind::Put, cf, key, value);
    }

    /// Removes `key` if present.
    pub fn delete(&mut self, cf: Cf, key: &[u8]) {
        self.push(Kind::Delete, cf, &[key], &[]);
    }

    /// Like [`Batch::delete`] with the key given in pieces.
    pub fn delete_parts(&mut self, cf: Cf, key: &[&[u8]]) {
        self.push(Kind::Delete, cf, key, &[]);
    }

    /// Removes every key in `[start, end)`; nothing if `start >= end`.
    pub fn delete_range(&mut self, cf: Cf, start: &[u8], end: &[u8]) {
        if start < end {
            self.push(Kind::DeleteRange, cf, &[start], &[end]);
        }
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn byte_size(&self) -> usize {
        self.bytes.len()
    }

    /// The operations in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = BatchOp<'_>> {
        self.ops.iter().map(|op| {
            let (key, rest) = self.bytes[op.at..].split_at(op.key_len as usize);
            let value = &rest[..op.value_len as usize];
            match op.kind {
                Kind::Put => BatchOp::Put {
                    cf: op.cf,
                    key,
                    value,
                },
                Kind::Delete => BatchOp::Delete { cf: op.cf, key },
                Kind::DeleteRange => BatchOp::DeleteRange {
                    cf: op.cf,
                    start: key,
                    end: value,
                },
            }
        })
    }

    /// Forgets all operations and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ops.clear();
    }

    fn push(&mut self, kind: Kind, cf: Cf, key: &[&[u8]], value: &[&[u8]]) {
        let at = self.bytes.len();
        key.iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        let key_len = piece_len(self.bytes.len() - at);
        value
            .iter()
            .for_each(|part| self.bytes.extend_from_slice(part));
        let value_len = piece_len(self.bytes.len() - at - key_len as usize);
        self.ops.push(Op {
            kind,
            cf,
            at,
            key_len,
            value_len,
        });
    }
}

fn piece_len(len: usize) -> u32 {
    u32::try_from(len).expect("requests are limited to far less than 4 GiB")
}
