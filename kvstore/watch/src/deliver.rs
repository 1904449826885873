//! Sending watchers what the ring has for them.

use crate::Shard;
use crate::batch::EncodedEvent;
use crate::body::Body;
use crate::frame::{Header, Writer};
use crate::group::{Group, Resolved};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::ring::Ring;
use crate::stream::{Delivery, Work};
use crate::sub::{Flags, Watcher};

/// The response could not be sent: no client could read it.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Writes one event response, in fragments if the watcher wants that and the size calls for it. `events` lists them
/// if need be.
pub(crate) fn write_events<'e>(
    writer: &mut Writer<'_>,
    header: &Header,
    (id, flags): (i64, Flags),
    (body, count): (&Body, usize),
    fragment_limit: usize,
    events: impl FnOnce() -> Vec<&'e EncodedEvent>,
) -> Result<(), TooLarge> {
    writer.events += count as u64;
    let len = header.message_len(id, body.len);
    if flags.has(Flags::FRAGMENT) && count > 1 && len >= fragment_limit {
        let prev_kv = flags.has(Flags::PREV_KV);
        return write_fragments(writer, header, id, prev_kv, &events(), fragment_limit);
    }
    if len > MESSAGE_BYTES_MAX {
        return Err(TooLarge);
    }
    writer.events(header, id, false, body);
    Ok(())
}

/// Splits events over messages that stay below the limit, or hold one event. All but the last say there is more.
fn write_fragments(
    writer: &mut Writer<'_>,
    header: &Header,
    id: i64,
    prev_kv: bool,
    events: &[&EncodedEvent],
    limit: usize,
) -> Result<(), TooLarge> {
    // The mark of a fragment takes two bytes.
    let base = header.message_len(id, 0) + 2;
    let mut rest = events;
    while !rest.is_empty() {
        let mut len = base + rest[0].wire_len(prev_kv);
        let mut count = 1;
        while let Some(next) = rest.get(count)
            && len + next.wire_len(prev_kv) < limit
        {
            len += next.wire_len(prev_kv);
            count += 1;
        }
        if len > MESSAGE_BYTES_MAX {
            return Err(TooLarge);
        }
        let (now, later) = rest.split_at(count);
        writer.events(header, id, !later.is_empty(), &Body::of(now, prev_kv));
        rest = later;
    }
    Ok(())
}

/// What watchers at one place are sent, kept from one watcher of a pass to the next.
struct Current {
    from: i64,
    variant: Flags,
    resolved: Resolved,
    /// Header and events of a small response in one piece; made for the second watcher that needs it.
    shared: Option<Vec<u8>>,
    used: bool,
}

/// Serves the watchers of one sub, one after the other.
struct Pass<'a, 'w> {
    group: &'a mut Group,
    ring: &'a Ring,
    header: &'a Header,
    writer: &'a mut Writer<'w>,
    fragment_limit: usize,
    current: Option<Current>,
}

impl Pass<'_, '_> {
    /// Sends a watcher, which wants revisions from `from` on, one response. The group must have all of them pending.
    fn serve(&mut self, watcher: &mut Watcher, from: i64) -> Result<(), TooLarge> {
        let variant = watcher.flags.variant();
        let known = self
            .current
            .as_ref()
            .is_some_and(|c| c.from == from && c.variant == variant);
        if !known {
            let resolved = self.group.resolve(self.ring, from, variant);
            self.current = Some(Current {
                from,
                variant,
                resolved,
                shared: None,
                used: false,
            });
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        watcher.cursor = current.resolved.to + 1;
        watcher.flags.set(Flags::FUTURE, false);
        if current.resolved.events == 0 {
            return Ok(());
        }
        watcher.flags.set(Flags::SENT, true);
        let Resolved {
            body,
            events: count,
            ..
        } = &current.resolved;
        if !body.is_small() {
            let (group, ring) = (&*self.group, self.ring);
            let events = || group.select(ring, from, variant).0;
            let who = (watcher.id, watcher.flags);
            let what = (body, *count);
            return write_events(
                self.writer,
                self.header,
                who,
                what,
                self.fragment_limit,
                events,
            );
        }
        self.writer.events += *count as u64;
        if watcher.id == 0
            && self.writer.is_flushed()
            && let Some(frame) = self.group.frame(from, variant, self.header)
        {
            self.writer.shared(frame);
        } else if current.used {
            let shared = current
                .shared
                .get_or_insert_with(|| self.header.followed_by(body));
            self.writer.followed_by(watcher.id, shared);
        } else {
            current.used = true;
            self.writer.events(self.header, watcher.id, false, body);
        }
        Ok(())
    }
}

impl Shard {
    /// Goes on with a pass over the watchers of a dirty sub until it is done or `max_bytes` are written.
    pub(crate) fn deliver(
        &mut self,
        stream_ix: u32,
        mut delivery: Delivery,
        writer: &mut Writer<'_>,
        max_bytes: usize,
    ) {
        let Self {
            subs,
            groups,
            ring,
            streams,
            header,
            ..
        } = self;
        let sub = &mut subs[delivery.sub as usize];
        let group = &mut groups[sub.group as usize];
        let stream = &mut streams[stream_ix as usize];
        if std::mem::take(&mut sub.disturbed) {
            delivery.resume = 0;
        }
        if delivery.resume == 0 {
            delivery.pass_to = group.last;
        }
        let (evicted, trimmed) = group.pending.drop_evicted(ring);
        self.pending_total -= evicted;
        group.trimmed = group.trimmed.max(trimmed);

        let (last, trimmed) = (group.last, group.trimmed);
        let fragment_limit = self.options.fragment_limit();
        let mut pass = Pass {
            group,
            ring,
            header,
            writer,
            fragment_limit,
            current: None,
        };
        let mut unservable = Vec::new();
        let mut at = delivery.resume as usize;
        let watchers = sub.watchers.as_mut_slice();
        while pass.writer.bytes < max_bytes
            && let Some(watcher) = watchers.get_mut(at)
        {
            let from = watcher.cursor.max(delivery.pending_from);
            if watcher.flags.has(Flags::UNSYNCED) || from > last {
                at += 1;
            } else if from <= trimmed {
                watcher.cursor = from;
                watcher.flags.set(Flags::UNSYNCED, true);
                stream.unsynced += 1;
                self.unsynced += 1;
                let Watcher { id, nonce, .. } = *watcher;
                stream.work.push_back(Work::CatchUp { id, nonce });
                at += 1;
            } else {
                if pass.serve(watcher, from).is_err() {
                    unservable.push(watcher.id);
                }
                at += usize::from(watcher.cursor > last);
            }
        }
        let end = watchers.len();
        self.finish_pass(stream_ix, delivery, at, end);
        for id in unservable {
            self.cancel_unservable(stream_ix, id);
        }
    }

    /// Decides how a pass that stopped before watcher `at` of `end` goes on.
    fn finish_pass(&mut self, stream_ix: u32, mut delivery: Delivery, at: usize, end: usize) {
        let sub = &self.subs[delivery.sub as usize];
        let last = self.groups[sub.group as usize].last;
        let work = &mut self.streams[stream_ix as usize].work;
        if at < end {
            delivery.resume = u32::try_from(at).expect("fewer than 4 G watchers");
            work.push_front(Work::Deliver(delivery));
        } else if delivery.pass_to < last && end > 0 {
            // Matches came in after the first watchers of this pass had been served.
            delivery.resume = 0;
            delivery.pending_from = delivery.pass_to + 1;
            work.push_back(Work::Deliver(delivery));
        } else {
            self.settle(delivery.sub);
            if end == 0 {
                self.remove_sub(delivery.sub);
            }
        }
    }

    /// A sub has nothing left to deliver; when that is true of its whole group, matches need not be kept.
    pub(crate) fn settle(&mut self, sub_ix: u32) {
        let sub = &mut self.subs[sub_ix as usize];
        sub.dirty = false;
        sub.disturbed = false;
        let group = &mut self.groups[sub.group as usize];
        group.lagging -= 1;
        if group.lagging == 0 {
            self.pending_total -= group.settle();
        }
    }
}
