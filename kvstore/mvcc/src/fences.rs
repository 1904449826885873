//! How many keys lie between some of them: the data behind fast counts.
//!
//! Fences cut the space of all keys into intervals of a few hundred keys. An interval's number of live
//! keys is exact at the table's revision, or unknown. What is unknown is learned from readers, who have
//! to scan it anyway; so is how to cut an interval that has grown too long.

/// The number of keys of an interval that nobody has counted.
const UNKNOWN: u32 = u32::MAX;

/// Interval `i` is `[keys[i], keys[i + 1])`; the last one has no end. `keys[0]` is empty.
#[derive(Debug)]
pub(crate) struct Fences {
    /// The revision at which the numbers are exact.
    revision: i64,
    keys: Vec<Box<[u8]>>,
    counts: Vec<u32>,
    /// Wanted length of an interval, in keys.
    interval: u32,
    /// Intervals that may have become so short that they should be merged.
    short: usize,
}

/// What the table knows about a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The revision of `known`.
    pub revision: i64,
    /// The keys of the intervals wholly inside.
    pub known: u64,
    pub known_intervals: usize,
    /// The rest of the range, in order: to be scanned.
    pub pieces: Vec<Piece>,
}

/// A range within one interval.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub start: Box<[u8]>,
    pub end: Option<Box<[u8]>>,
    /// Whether the table wants to know what a scan finds.
    pub learn: bool,
}

/// What a scan found in a piece: intervals of their own.
#[derive(Debug)]
pub(crate) struct Learned {
    pub end: Option<Box<[u8]>>,
    /// The starts of the intervals, of which the first is the start of the piece.
    pub keys: Vec<Box<[u8]>>,
    pub counts: Vec<u32>,
}

/// The table contradicts itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubtful;

impl Piece {
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| *key < **end)
    }
}

impl Learned {
    /// Changes the number of keys at `key` by one, if it lies within.
    pub(crate) fn shift(&mut self, key: &[u8], created: bool) -> Result<(), Doubtful> {
        if self.end.as_ref().is_some_and(|end| *key >= **end) {
            return Ok(());
        }
        match containing(&self.keys, key) {
            Some(at) => shift(&mut self.counts[at], created),
            None => Ok(()),
        }
    }
}

impl Fences {
    /// A table that knows nothing. `interval` is at least 1.
    pub(crate) fn new(revision: i64, interval: u32) -> Self {
        Self {
            revision,
            keys: vec![Box::default()],
            counts: vec![UNKNOWN],
            interval: interval.max(1),
            short: 0,
        }
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// Forgets everything but the revision.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.revision, self.interval);
    }

    /// Splits the range into what is known and what has to be scanned. `start < end`.
    pub(crate) fn plan(&self, start: &[u8], end: Option<&[u8]>) -> Plan {
        let (first, last) = self.covering(start, end);
        let mut plan = Plan {
            revision: self.revision,
            known: 0,
            known_intervals: 0,
            pieces: Vec::new(),
        };
        let mut at = first;
        while at <= last {
            if at == first + 1
                && let Some(known) = self.all_known(at, last)
            {
                plan.known += known;
                plan.known_intervals += last - at;
                at = last;
            }
            let cut_start = at == first && *self.keys[at] < *start;
            let cut_end = at == last && self.next(at) != end;
            let count = self.counts[at];
            if count != UNKNOWN && !cut_start && !cut_end {
                plan.known += u64::from(count);
                plan.known_intervals += 1;
            } else if count != 0 {
                let start = if cut_start { start } else { &self.keys[at] };
                let end = if cut_end { end } else { self.next(at) };
                plan.pieces.push(Piece {
                    start: start.into(),
                    end: end.map(Into::into),
                    learn: count > self.interval.saturating_mul(2),
                });
            }
            at += 1;
        }
        plan
    }

    /// Moves on to `revision`, with the keys it created (true) and deleted (false).
    pub(crate) fn advance<'k>(
        &mut self,
        revision: i64,
        changes: impl Iterator<Item = (&'k [u8], bool)>,
    ) {
        self.revision = revision;
        if self.counts == [UNKNOWN] {
            return;
        }
        let short = self.interval.div_ceil(2);
        let mut at = 0;
        for (key, created) in changes {
            // Neighbours are often changed together.
            let same = *self.keys[at] <= *key && self.next(at).is_none_or(|next| key < next);
            if !same {
                at = containing(&self.keys, key).expect("the first fence is the empty key");
            }
            let count = &mut self.counts[at];
            if *count == UNKNOWN {
                continue;
            }
            if shift(count, created).is_err() {
                return self.clear();
            }
            if !created && *count < short {
                self.short += usize::from(*count + 1 == short);
            }
        }
        self.merge_if_many_short();
    }

    /// Adds what a scan found at the table's revision. The table is empty after an error.
    pub(crate) fn install(&mut self, learned: Learned) -> Result<(), Doubtful> {
        let Learned { end, keys, counts } = learned;
        let Some(start) = keys.first() else {
            return Ok(());
        };
        let (first, last) = self.covering(start, end.as_deref());
        let left = *self.keys[first] < **start;
        let right = self.next(last) != end.as_deref();
        // A known interval stays known if it is only shortened.
        let mut remainder = UNKNOWN;
        if first == last && self.counts[first] != UNKNOWN {
            let inside: u64 = counts.iter().copied().map(u64::from).sum();
            let before = u64::from(self.counts[first]);
            if inside > before || (!left && !right && inside != before) {
                self.clear();
                return Err(Doubtful);
            }
            if left != right {
                remainder = u32::try_from(before - inside).unwrap_or(UNKNOWN);
            }
        }
        let left = left.then(|| self.keys[first].clone());
        let left_count = left.is_some().then_some(remainder);
        let right_count = right.then_some(remainder);
        let right = end.filter(|_| right);
        let keys = left.into_iter().chain(keys).chain(right);
        self.keys.splice(first..=last, keys);
        let counts = left_count.into_iter().chain(counts).chain(right_count);
        self.counts.splice(first..=last, counts);
        // The first and the last interval of what is learned may be short.
        self.short += 2;
        self.merge_if_many_short();
        Ok(())
    }

    /// The keys of intervals `from` up to but not `to`, if all are known. There may be very many.
    fn all_known(&self, from: usize, to: usize) -> Option<u64> {
        let counts = &self.counts[from..to];
        let sum = |sum: u64, count: &u32| sum.wrapping_add(u64::from(*count));
        (!counts.contains(&UNKNOWN)).then(|| counts.iter().fold(0, sum))
    }

    /// The intervals that a range touches, from the first to the last.
    fn covering(&self, start: &[u8], end: Option<&[u8]>) -> (usize, usize) {
        let first = containing(&self.keys, start).unwrap_or(0);
        let last = end.map_or(self.keys.len(), |end| {
            self.keys.partition_point(|key| **key < *end)
        });
        (first, last.saturating_sub(1).max(first))
    }

    /// Where an interval ends.
    fn next(&self, at: usize) -> Option<&[u8]> {
        self.keys.get(at + 1).map(|key| &**key)
    }

    /// Merging looks at every interval, so it waits until enough of them may go.
    fn merge_if_many_short(&mut self) {
        if self.short * 4 <= self.keys.len() {
            return;
        }
        self.short = 0;
        let mut kept = 0;
        for at in 1..self.keys.len() {
            let merged = match (self.counts[kept], self.counts[at]) {
                (UNKNOWN, UNKNOWN) => Some(UNKNOWN),
                (UNKNOWN, _) | (_, UNKNOWN) => None,
                (a, b) => a.checked_add(b).filter(|sum| *sum <= self.interval),
            };
            if let Some(merged) = merged {
                self.counts[kept] = merged;
            } else {
                kept += 1;
                self.keys.swap(kept, at);
                self.counts[kept] = self.counts[at];
            }
        }
        self.keys.truncate(kept + 1);
        self.counts.truncate(kept + 1);
    }

    #[cfg(test)]
    fn intervals(&self) -> Vec<(&[u8], Option<u32>)> {
        let counts = self
            .counts
            .iter()
            .map(|count| Some(*count).filter(|count| *count != UNKNOWN));
        self.keys.iter().map(|key| &**key).zip(counts).collect()
    }
}

/// The interval that holds `key`; `None` before the first.
fn containing(keys: &[Box<[u8]>], key: &[u8]) -> Option<usize> {
    keys.partition_point(|fence| **fence <= *key).checked_sub(1)
}

fn shift(count: &mut u32, created: bool) -> Result<(), Doubtful> {
    let shifted = if created {
        count.checked_add(1).filter(|count| *count != UNKNOWN)
    } else {
        count.checked_sub(1)
    };
    *count = shifted.ok_or(Doubtful)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(keys: &[&str], counts: &[u32], end: Option<&str>) -> Learned {
        Learned {
            end: end.map(|end| end.as_bytes().into()),
            keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
            counts: counts.to_vec(),
        }
    }

    fn table() -> Fences {
        let mut fences = Fences::new(7, 4);
        let found = learned(&["b", "d", "f"], &[4, 4, 3], Some("h"));
        fences.install(found).unwrap();
        fences
    }

    fn piece(start: &str, end: Option<&str>, learn: bool) -> Piece {
        Piece {
            start: start.as_bytes().into(),
            end: end.map(|end| end.as_bytes().into()),
            learn,
        }
    }

    #[test]
    fn a_range_is_cut_into_known_intervals_and_pieces_to_scan() {
        let fences = table();
        let plan = fences.plan(b"b", Some(b"h"));
        assert_eq!(
            (plan.revision, plan.known, plan.known_intervals),
            (7, 11, 3)
        );
        assert_eq!(plan.pieces, []);
        let plan = fences.plan(b"c", Some(b"g"));
        assert_eq!(plan.known, 4);
        let ends = [piece("c", Some("d"), false), piece("f", Some("g"), false)];
        assert_eq!(plan.pieces, ends);
        let plan = fences.plan(b"dd", Some(b"de"));
        assert_eq!(
            (plan.known, plan.pieces),
            (0, vec![piece("dd", Some("de"), false)])
        );
        let plan = fences.plan(b"a", None);
        assert_eq!(plan.known, 11);
        let outside = [piece("a", Some("b"), true), piece("h", None, true)];
        assert_eq!(plan.pieces, outside);
    }

    #[test]
    fn creations_make_an_interval_long_and_learning_cuts_it_again() {
        let mut fences = table();
        let created = ["d1", "d2", "d3", "d4", "d5"].map(|key| (key.as_bytes(), true));
        fences.advance(8, created.into_iter());
        let plan = fences.plan(b"d1", Some(b"h"));
        assert_eq!((plan.revision, plan.known), (8, 3));
        assert_eq!(plan.pieces, [piece("d1", Some("f"), true)]);
        let found = learned(&["d1", "d5"], &[4, 3], Some("f"));
        fences.install(found).unwrap();
        let want = [
            (&b""[..], None),
            (b"b", Some(4)),
            (b"d", Some(2)),
            (b"d1", Some(4)),
            (b"d5", Some(3)),
            (b"f", Some(3)),
            (b"h", None),
        ];
        assert_eq!(fences.intervals(), want);
    }

    #[test]
    fn deleting_whole_intervals_merges_them() {
        let mut fences = table();
        let deleted = ["b", "b", "b", "b", "d", "d", "d"].map(|key| (key.as_bytes(), false));
        fences.advance(8, deleted.into_iter());
        let want = [(&b""[..], None), (b"b", Some(4)), (b"h", None)];
        assert_eq!(fences.intervals(), want);
    }

    #[test]
    fn contradictions_empty_the_table() {
        let mut fences = table();
        let deleted = [&b"b"[..]; 5].map(|key| (key, false));
        fences.advance(8, deleted.into_iter());
        assert_eq!(fences.intervals(), [(&b""[..], None)]);
        let mut fences = table();
        let more_than_there_is = learned(&["d"], &[5], Some("f"));
        assert_eq!(fences.install(more_than_there_is), Err(Doubtful));
        assert_eq!(fences.intervals(), [(&b""[..], None)]);
    }
}
