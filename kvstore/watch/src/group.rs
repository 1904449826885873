//! All watchers of one range.

use crate::batch::EncodedEvent;
use crate::body::Body;
use crate::frame::Header;
use crate::limits::{BODY_CACHE_MAX, RESPONSE_BYTES_MAX};
use crate::pending::Pending;
use crate::range::Range;
use crate::ring::Ring;
use crate::sub::{Few, Flags};
use bytes::Bytes;

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) range: Range,
    pub(crate) subs: Few<u32>,
    /// How many of `subs` are dirty. When none is, `pending` is empty.
    pub(crate) lagging: u32,
    pub(crate) pending: Pending,
    /// Revision of the latest match.
    pub(crate) last: i64,
    /// Matches up to this revision may be missing from `pending`.
    pub(crate) trimmed: i64,
    /// Bodies made for the current `last`, when several subs may want them.
    #[expect(
        clippy::box_collection,
        reason = "an idle group is small, and nearly all are idle"
    )]
    cache: Option<Box<Vec<Cached>>>,
}

/// What a watcher is to be sent next.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) body: Body,
    /// The last revision it covers.
    pub(crate) to: i64,
    pub(crate) events: usize,
}

#[derive(Debug)]
struct Cached {
    from: i64,
    variant: Flags,
    resolved: Resolved,
    /// The complete message for watch id 0, and the header version it was made with.
    frame: Option<(u64, Bytes)>,
}

impl Group {
    pub(crate) fn new(range: Range) -> Self {
        Self {
            range,
            subs: Few::None,
            lagging: 0,
            pending: Pending::default(),
            last: 0,
            trimmed: 0,
            cache: None,
        }
    }

    /// The events of one response: from `from` on, as many whole revisions as fit.
    pub(crate) fn select<'r>(
        &self,
        ring: &'r Ring,
        from: i64,
        variant: Flags,
    ) -> (Vec<&'r EncodedEvent>, i64) {
        let prev_kv = variant.has(Flags::PREV_KV);
        let (mut events, mut bytes, mut revision) = (Vec::new(), 0, from);
        for found in self.pending.from(from) {
            if found.revision != revision {
                if bytes >= RESPONSE_BYTES_MAX {
                    return (events, revision);
                }
                revision = found.revision;
            }
            // Evicted matches were trimmed before, and whoever needs them does not come here.
            if let Some(event) = ring.get(found.at)
                && variant.admits(event.delete)
            {
                bytes += event.wire_len(prev_kv);
                events.push(event);
            }
        }
        (events, self.last)
    }

    fn resolve_anew(&self, ring: &Ring, from: i64, variant: Flags) -> Resolved {
        let prev_kv = variant.has(Flags::PREV_KV);
        let mut matches = self.pending.from(from);
        if let (Some(only), None) = (matches.next(), matches.next())
            && let Some(event) = ring.get(only.at)
            && variant.admits(event.delete)
        {
            return Resolved {
                body: Body::single(event, prev_kv),
                to: self.last,
                events: 1,
            };
        }
        let (events, to) = self.select(ring, from, variant);
        Resolved {
            body: Body::of(&events, prev_kv),
            to,
            events: events.len(),
        }
    }

    /// What a watcher at `from` is to be sent.
    pub(crate) fn resolve(&mut self, ring: &Ring, from: i64, variant: Flags) -> Resolved {
        if self.subs.len() < 2 {
            return self.resolve_anew(ring, from, variant);
        }
        if let Some(known) = self.cached(from, variant) {
            return known.resolved.clone();
        }
        let resolved = self.resolve_anew(ring, from, variant);
        let cache = self.cache.get_or_insert_default();
        if cache.len() == BODY_CACHE_MAX {
            cache.remove(0);
        }
        cache.push(Cached {
            from,
            variant,
            resolved: resolved.clone(),
            frame: None,
        });
        resolved
    }

    fn cached(&mut self, from: i64, variant: Flags) -> Option<&mut Cached> {
        self.cache
            .as_mut()?
            .iter_mut()
            .find(|c| c.from == from && c.variant == variant)
    }

    /// The complete message for watch id 0 with what [`Group::resolve`] returned last for this place, if that is
    /// cached.
    pub(crate) fn frame(&mut self, from: i64, variant: Flags, header: &Header) -> Option<Bytes> {
        let known = self.cached(from, variant)?;
        match &known.frame {
            Some((version, frame)) if *version == header.version => Some(frame.clone()),
            _ => {
                let frame = header.frame(0, &known.resolved.body);
                known.frame = Some((header.version, frame.clone()));
                Some(frame)
            }
        }
    }

    /// Forgets bodies, which a new match makes out of date.
    pub(crate) fn forget_bodies(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.clear();
        }
    }

    /// All watchers are level: nothing needs to be kept. Returns how many matches were dropped.
    pub(crate) fn settle(&mut self) -> usize {
        let dropped = self.pending.len();
        self.pending.clear();
        self.cache = None;
        dropped
    }
}
