//! The latest events, in order and without a gap, bounded in bytes and number.

use super::event::Event;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many events a cache keeps for watchers that resume.
#[derive(Clone, Copy, Debug)]
pub struct RingLimits {
    /// Never more than this many events,
    pub events_max: usize,
    /// nor more than this many bytes (an object counts twice: itself and its frames).
    pub bytes_max: usize,
    /// Below these limits an event is kept at least this long,
    pub keep: Duration,
    /// and this many are kept however old they are, so that quiet resources can be resumed for hours.
    pub events_min: usize,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self {
            events_max: 100_000,
            bytes_max: 64 << 20,
            keep: Duration::from_secs(180),
            events_min: 100,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ring {
    limits: RingLimits,
    events: VecDeque<(Arc<Event>, Instant)>,
    bytes: usize,
    /// Number of the next event.
    next_seq: u64,
    /// All events after this revision are in the ring.
    floor: i64,
}

impl Ring {
    /// An empty ring that holds all events after `floor`.
    pub(crate) fn new(limits: RingLimits, floor: i64) -> Self {
        Self {
            limits,
            events: VecDeque::new(),
            bytes: 0,
            next_seq: 0,
            floor,
        }
    }

    /// All events after this revision can be read.
    pub(crate) fn floor(&self) -> i64 {
        self.floor
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets everything; events after `floor` will follow. Numbers go on.
    pub(crate) fn clear(&mut self, floor: i64) {
        self.events.clear();
        self.bytes = 0;
        self.floor = floor;
    }

    /// Adds the next event, whose number must be [`Ring::next_seq`].
    pub(crate) fn push(&mut self, event: Arc<Event>, now: Instant) {
        debug_assert_eq!(event.seq, self.next_seq);
        self.bytes += event.cost();
        self.next_seq += 1;
        self.events.push_back((event, now));
    }

    /// Takes out the oldest event if it is one too many at this time.
    pub(crate) fn evict(&mut self, now: Instant) -> Option<Arc<Event>> {
        let (_, since) = self.events.front()?;
        let (len, limits) = (self.events.len(), &self.limits);
        let over = (len > limits.events_max || self.bytes > limits.bytes_max) && len > 1;
        let stale = len > limits.events_min && now.duration_since(*since) > limits.keep;
        if !over && !stale {
            return None;
        }
        let (event, _) = self.events.pop_front()?;
        self.bytes -= event.cost();
        // A part of a revision is no use: whoever is before it cannot resume any more.
        self.floor = event.revision;
        Some(event)
    }

    /// Number of the first event after a revision.
    pub(crate) fn seq_after(&self, revision: i64) -> u64 {
        let index = self
            .events
            .partition_point(|(event, _)| event.revision <= revision);
        self.front_seq() + index as u64
    }

    /// The events from a number on; those that are gone are left out.
    pub(crate) fn since_seq(&self, seq: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let skip = usize::try_from(seq.saturating_sub(self.front_seq())).unwrap_or(usize::MAX);
        let skip = skip.min(self.events.len());
        self.events.range(skip..).map(|(event, _)| event)
    }

    fn front_seq(&self) -> u64 {
        self.next_seq - self.events.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Ring, RingLimits};
    use crate::cache::event::Event;
    use crate::cache::frames::Frames;
    use crate::cache::object::{Attributes, Object};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    fn push(ring: &mut Ring, revision: i64, bytes: usize, now: Instant) {
        let object = Arc::new(Object {
            key: "k".into(),
            revision,
            value: vec![0; bytes].into(),
            attributes: Attributes::default(),
        });
        let event = Event {
            seq: ring.next_seq(),
            revision,
            object: Some(object),
            previous: None,
            frames: Frames::default(),
        };
        ring.push(Arc::new(event), now);
        while ring.evict(now).is_some() {}
    }

    fn limits() -> RingLimits {
        RingLimits {
            events_max: 4,
            bytes_max: 1 << 20,
            keep: Duration::from_secs(10),
            events_min: 2,
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let (mut ring, now) = (Ring::new(limits(), 10), Instant::now());
        assert_eq!(ring.seq_after(10), 0);
        for revision in 11..=16 {
            push(&mut ring, revision, 1, now);
        }
        assert_eq!((ring.len(), ring.floor()), (4, 12));
        assert_eq!(ring.seq_after(12), 2);
        assert_eq!(ring.seq_after(14), 4);
        assert_eq!(ring.seq_after(99), ring.next_seq());
        let revisions: Vec<_> = ring.since_seq(3).map(|e| e.revision).collect();
        assert_eq!(revisions, [14, 15, 16]);
    }

    #[test]
    fn large_objects_make_a_short_ring_but_never_an_empty_one() {
        let (mut ring, now) = (Ring::new(limits(), 0), Instant::now());
        for revision in 1..=3 {
            push(&mut ring, revision, 1 << 20, now);
        }
        assert_eq!((ring.len(), ring.floor()), (1, 2));
    }

    #[test]
    fn old_events_go_down_to_a_minimum() {
        let (mut ring, now) = (Ring::new(limits(), 0), Instant::now());
        for revision in 1..=4 {
            push(&mut ring, revision, 1, now);
        }
        let later = now + Duration::from_secs(11);
        while ring.evict(later).is_some() {}
        assert_eq!((ring.len(), ring.floor()), (2, 2));
    }

    #[test]
    fn a_cut_revision_counts_as_gone() {
        let (mut ring, now) = (Ring::new(limits(), 0), Instant::now());
        for revision in [1, 1, 2, 3, 4] {
            push(&mut ring, revision, 1, now);
        }
        assert_eq!(ring.floor(), 1, "the second event of 1 is still there");
        ring.clear(9);
        assert_eq!((ring.len(), ring.seq_after(9)), (0, 5));
    }
}
