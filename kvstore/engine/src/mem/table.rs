//! A sorted table with cheap copies: chunks behind reference counts, copied when written.

use crate::{Cursor, Direction, EngineError};
use bytes::Bytes;
use std::sync::Arc;

/// A chunk is split in two when it grows beyond this many pairs.
const CHUNK_PAIRS_MAX: usize = 128;

type Pair = (Bytes, Bytes);

/// A sorted map from bytes to bytes. `clone` costs one reference count.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// Never holds an empty chunk; keys ascend within and across chunks.
    chunks: Arc<Vec<Arc<Vec<Pair>>>>,
    bytes: u64,
}

/// Where a key is or would be.
struct Place {
    chunk: usize,
    pair: usize,
    found: bool,
}

impl Table {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let place = self.place(key);
        place.found.then(|| &self.chunks[place.chunk][place.pair].1)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        let place = self.place(key);
        let value = Bytes::copy_from_slice(value);
        self.bytes += (key.len() + value.len()) as u64;
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::new(vec![(Bytes::copy_from_slice(key), value)]));
            return;
        }
        let chunk = Arc::make_mut(&mut chunks[place.chunk]);
        if place.found {
            let (key, old) = &chunk[place.pair];
            self.bytes -= (key.len() + old.len()) as u64;
            chunk[place.pair].1 = value;
            return;
        }
        chunk.insert(place.pair, (Bytes::copy_from_slice(key), value));
        if chunk.len() > CHUNK_PAIRS_MAX {
            // Keys that arrive in order fill their chunks: only a split in the middle halves them.
            let appended = place.pair + 1 == chunk.len();
            let at = if appended {
                CHUNK_PAIRS_MAX
            } else {
                CHUNK_PAIRS_MAX / 2
            };
            let upper = chunk.split_off(at);
            chunks.insert(place.chunk + 1, Arc::new(upper));
        }
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        let place = self.place(key);
        if !place.found {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[place.chunk]);
        let (key, value) = chunk.remove(place.pair);
        self.bytes -= (key.len() + value.len()) as u64;
        if chunk.is_empty() {
            chunks.remove(place.chunk);
        }
    }

    pub(super) fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        self.retain_in(start, Some(end), |_, _| false);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&[u8], &[u8]) -> bool) {
        self.retain_in(&[], None, keep);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn retain_in(&mut self, start: &[u8], end: Option<&[u8]>, keep: impl Fn(&[u8], &[u8]) -> bool) {
        let inside = |key: &[u8]| key >= start && end.is_none_or(|end| key < end);
        let mut gone = 0;
        for chunk in Arc::make_mut(&mut self.chunks) {
            let stays = |(key, value): &Pair| !inside(key) || keep(key, value);
            if chunk.iter().all(stays) {
                continue;
            }
            Arc::make_mut(chunk).retain(|pair| {
                let stays = stays(pair);
                if !stays {
                    gone += (pair.0.len() + pair.1.len()) as u64;
                }
                stays
            });
        }
        Arc::make_mut(&mut self.chunks).retain(|chunk| !chunk.is_empty());
        self.bytes -= gone;
    }

    /// The place of `key`. Where it is absent, the place lies in an existing chunk (unless there is none)
    /// and may be one past the chunk's last pair.
    fn place(&self, key: &[u8]) -> Place {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.first().is_some_and(|(first, _)| first <= key));
        let chunk = after.saturating_sub(1);
        let found = self.chunks.get(chunk).map_or(Err(0), |pairs| {
            pairs.binary_search_by(|(k, _)| k[..].cmp(key))
        });
        Place {
            chunk,
            pair: found.unwrap_or_else(|pair| pair),
            found: found.is_ok(),
        }
    }
}

/// A cursor over a table it shares.
#[derive(Debug)]
pub(super) struct TableCursor {
    table: Table,
    start: Bytes,
    end: Option<Bytes>,
    dir: Direction,
    chunk: usize,
    pair: usize,
    done: bool,
}

impl TableCursor {
    pub(super) fn new(table: Table, start: &[u8], end: Option<&[u8]>, dir: Direction) -> Self {
        let mut cursor = Self {
            table,
            start: Bytes::copy_from_slice(start),
            end: end.map(Bytes::copy_from_slice),
            dir,
            chunk: 0,
            pair: 0,
            done: false,
        };
        match dir {
            Direction::Ascending => cursor.stand_at(start),
            Direction::Descending => cursor.stand_before(end),
        }
        cursor
    }

    /// Stands on the first key `>= key`.
    fn stand_at(&mut self, key: &[u8]) {
        let place = self.table.place(key);
        self.chunk = place.chunk;
        self.pair = place.pair;
        if self
            .table
            .chunks
            .get(self.chunk)
            .is_some_and(|chunk| self.pair >= chunk.len())
        {
            self.chunk += 1;
            self.pair = 0;
        }
    }

    /// Stands on the last key `< end`.
    fn stand_before(&mut self, end: Option<&[u8]>) {
        match end {
            Some(end) => {
                let place = self.table.place(end);
                self.chunk = place.chunk;
                self.pair = place.pair;
            }
            None => {
                self.chunk = self.table.chunks.len();
                self.pair = 0;
            }
        }
        self.step_back();
    }

    fn step_back(&mut self) {
        if self.pair > 0 {
            self.pair -= 1;
        } else if self.chunk > 0 {
            self.chunk -= 1;
            self.pair = self.table.chunks[self.chunk].len() - 1;
        } else {
            self.done = true;
        }
    }
}

impl Cursor for TableCursor {
    fn item(&self) -> Option<(&[u8], &[u8])> {
        if self.done {
            return None;
        }
        let (key, value) = self.table.chunks.get(self.chunk)?.get(self.pair)?;
        let inside = match self.dir {
            Direction::Ascending => self.end.as_ref().is_none_or(|end| key < end),
            Direction::Descending => *key >= self.start,
        };
        inside.then_some((key, value))
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        match self.dir {
            Direction::Descending if !self.done => self.step_back(),
            Direction::Descending => {}
            Direction::Ascending => {
                let Some(chunk) = self.table.chunks.get(self.chunk) else {
                    return Ok(());
                };
                self.pair += 1;
                if self.pair == chunk.len() {
                    self.chunk += 1;
                    self.pair = 0;
                }
            }
        }
        Ok(())
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        debug_assert_eq!(self.dir, Direction::Ascending);
        if self.item().is_some_and(|(at, _)| at < key) {
            self.stand_at(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn walk(table: &Table, start: &[u8], end: Option<&[u8]>, dir: Direction) -> Vec<Vec<u8>> {
        let mut cursor = TableCursor::new(table.clone(), start, end, dir);
        let mut keys = Vec::new();
        while let Some((key, _)) = cursor.item() {
            keys.push(key.to_vec());
            cursor.advance().unwrap();
        }
        cursor.advance().unwrap();
        assert!(cursor.item().is_none());
        keys
    }

    fn key(n: u16) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_like_a_btree_map(
            ops in prop::collection::vec((0u8..8, 0u16..600, 0u16..600), 1..1500),
            bounds in (0u16..600, prop::option::of(0u16..600)),
        ) {
            let mut table = Table::default();
            let mut model = BTreeMap::new();
            for (op, a, b) in ops {
                match op {
                    0..=5 => {
                        table.put(&key(a), &key(b));
                        model.insert(key(a), key(b));
                    }
                    6 => {
                        table.delete(&key(a));
                        model.remove(&key(a));
                    }
                    _ => {
                        let b = a.saturating_add(b % 40);
                        table.delete_range(&key(a), &key(b));
                        model.retain(|k, _| *k < key(a) || *k >= key(b));
                    }
                }
                let got = table.get(&key(a)).map(|v| v.to_vec());
                prop_assert_eq!(got.as_ref(), model.get(&key(a)));
            }
            let bytes: usize = model.iter().map(|(k, v)| k.len() + v.len()).sum();
            prop_assert_eq!(table.bytes(), bytes as u64);
            let (start, end) = (key(bounds.0), bounds.1.map(key));
            let mut want: Vec<_> = model
                .keys()
                .filter(|k| **k >= start && end.as_ref().is_none_or(|e| *k < e))
                .cloned()
                .collect();
            prop_assert_eq!(&walk(&table, &start, end.as_deref(), Direction::Ascending), &want);
            want.reverse();
            prop_assert_eq!(&walk(&table, &start, end.as_deref(), Direction::Descending), &want);
        }
    }

    #[test]
    fn seek_skips_forward_only() {
        let mut table = Table::default();
        for n in 0..1000u16 {
            table.put(&key(n), b"");
        }
        let mut cursor = TableCursor::new(table, &key(10), Some(&key(900)), Direction::Ascending);
        cursor.seek(&key(500)).unwrap();
        assert_eq!(cursor.item().unwrap().0, key(500));
        cursor.seek(&key(20)).unwrap();
        assert_eq!(cursor.item().unwrap().0, key(500));
        cursor.seek(&key(950)).unwrap();
        assert!(cursor.item().is_none());
    }
}
