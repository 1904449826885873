//! Where durable entries lie: per segment, the offsets of its entries as `u32`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::disk::DiskFile;

/// One segment file and the entries in it that are still part of the log.
pub(crate) struct Place {
    pub(crate) seq: u64,
    pub(crate) salt: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Length of the file.
    pub(crate) file_bytes: u64,
    /// Index of the first entry; meaningless while there are no offsets.
    first: u64,
    offsets: Vec<u32>,
    /// End of the last record that is durable.
    pub(crate) end: u64,
}

/// A run of entries inside one segment.
pub(crate) struct Span {
    pub(crate) seq: u64,
    pub(crate) salt: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Offset of each entry, in index order.
    pub(crate) offsets: Vec<u32>,
    /// Offset behind the last of them: other records may lie in between.
    pub(crate) end: u64,
}

/// All segments, oldest first; the last one is being written.
#[derive(Default)]
pub(crate) struct Places {
    list: VecDeque<Place>,
}

impl Places {
    pub(crate) fn begin_segment(
        &mut self,
        seq: u64,
        salt: u32,
        file: Arc<dyn DiskFile>,
        file_bytes: u64,
    ) {
        let place = Place {
            seq,
            salt,
            file,
            file_bytes,
            first: 0,
            offsets: Vec::new(),
            end: 0,
        };
        self.list.push_back(place);
    }

    /// Bytes of all segment files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.list.iter().map(|place| place.file_bytes).sum()
    }

    /// The first entry of the newest segments that together take at most `budget` bytes.
    pub(crate) fn index_within(&self, budget: u64) -> Option<u64> {
        let mut taken = 0u64;
        let mut first = None;
        for place in self.list.iter().rev() {
            taken += place.file_bytes;
            if taken > budget && first.is_some() {
                break;
            }
            if !place.offsets.is_empty() {
                first = Some(place.first);
            }
        }
        first
    }

    /// Records that the current segment is durable up to `end`.
    pub(crate) fn set_end(&mut self, end: u64) {
        if let Some(place) = self.list.back_mut() {
            place.end = end;
        }
    }

    /// The entries `first..` lie at `offsets` in the current segment.
    pub(crate) fn push(&mut self, first: u64, offsets: &[u32]) {
        let Some(place) = self.list.back_mut() else {
            debug_assert!(false, "a segment is begun before entries are put into it");
            return;
        };
        if place.offsets.is_empty() {
            place.first = first;
        }
        debug_assert_eq!(place.first + place.offsets.len() as u64, first);
        place.offsets.extend_from_slice(offsets);
    }

    /// Forgets the entries from index `next` on.
    pub(crate) fn truncate(&mut self, next: u64) {
        for place in self.list.iter_mut().rev() {
            if place.offsets.is_empty() {
                continue;
            }
            let keep = next
                .saturating_sub(place.first)
                .min(place.offsets.len() as u64) as usize;
            place.offsets.truncate(keep);
            if keep > 0 {
                break;
            }
        }
    }

    /// Forgets segments that hold nothing but entries up to `purged`, oldest first and never the
    /// current one, and returns them.
    pub(crate) fn purge(&mut self, purged: u64) -> Vec<Place> {
        let mut retired = Vec::new();
        while self.list.len() > 1 {
            let place = &self.list[0];
            let live = place.first.saturating_add(place.offsets.len() as u64);
            if !place.offsets.is_empty() && live > purged.saturating_add(1) {
                break;
            }
            retired.extend(self.list.pop_front());
        }
        // Nothing in the current segment may be taken for a continuation of what was purged
        // beyond it.
        if let Some(place) = self.list.back_mut() {
            let live = place.first.saturating_add(place.offsets.len() as u64);
            if live <= purged.saturating_add(1) {
                place.offsets.clear();
            }
        }
        retired
    }

    /// Up to `want` entries from `index` on that lie in one segment within `budget` bytes; at least
    /// one. `None` if the entry is not in any segment.
    pub(crate) fn span(&self, index: u64, want: u64, budget: u64) -> Option<Span> {
        let place = self.find(index)?;
        let from = (index - place.first) as usize;
        let until = from + want.min((place.offsets.len() - from) as u64) as usize;
        let start = u64::from(place.offsets[from]);
        // Where entry n ends at the latest: at the next entry, or where the segment ends.
        let bound = |n: usize| {
            place
                .offsets
                .get(n + 1)
                .map_or(place.end, |o| u64::from(*o))
        };
        let fits = place.offsets[from..until]
            .iter()
            .enumerate()
            .take_while(|(n, _)| bound(from + n) - start <= budget)
            .count()
            .max(1);
        Some(Span {
            seq: place.seq,
            salt: place.salt,
            file: place.file.clone(),
            offsets: place.offsets[from..from + fits].to_vec(),
            end: bound(from + fits - 1),
        })
    }

    /// Sequence numbers of all segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<u64> {
        self.list.iter().map(|place| place.seq).collect()
    }

    /// All durable records of a segment as one span, without the entries' offsets.
    pub(crate) fn whole(&self, seq: u64) -> Option<Span> {
        let place = self.list.iter().find(|place| place.seq == seq)?;
        Some(Span {
            seq: place.seq,
            salt: place.salt,
            file: place.file.clone(),
            offsets: Vec::new(),
            end: place.end,
        })
    }

    fn find(&self, index: u64) -> Option<&Place> {
        self.list.iter().rev().find(|place| {
            let offset = index.checked_sub(place.first);
            offset.is_some_and(|at| at < place.offsets.len() as u64)
        })
    }
}
