//! Sending watchers what the ring has for them.

use crate::Shard;
use crate::batch::EncodedEvent;
use crate::body::Body;
use crate::frame::{Header, Writer};
use crate::group::Resolved;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::stream::{Delivery, Work};
use crate::sub::Flags;

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

        let fragment_limit = self.options.fragment_limit();
        let mut current: Option<(i64, Flags, Resolved)> = None;
        let mut unservable = Vec::new();
        let mut at = delivery.resume as usize;
        let watchers = sub.watchers.as_mut_slice();
        while writer.bytes < max_bytes
            && let Some(watcher) = watchers.get_mut(at)
        {
            let from = watcher.cursor.max(delivery.pending_from);
            if watcher.flags.has(Flags::UNSYNCED) || from > group.last {
                at += 1;
                continue;
            }
            if from <= group.trimmed {
                watcher.cursor = from;
                watcher.flags.set(Flags::UNSYNCED, true);
                stream.unsynced += 1;
                self.unsynced += 1;
                stream.work.push_back(Work::CatchUp {
                    id: watcher.id,
                    nonce: watcher.nonce,
                });
                at += 1;
                continue;
            }
            let variant = watcher.flags.variant();
            let resolved = match &current {
                Some((f, v, resolved)) if *f == from && *v == variant => resolved,
                _ => {
                    &current
                        .insert((from, variant, group.resolve(ring, from, variant)))
                        .2
                }
            };
            watcher.cursor = resolved.to + 1;
            watcher.flags.set(Flags::FUTURE, false);
            if resolved.events > 0 {
                watcher.flags.set(Flags::SENT, true);
                let whole = watcher.id == 0 && resolved.body.is_small() && writer.is_flushed();
                let small = |body: &Body| header.frame(0, body);
                let frame = match whole {
                    true => group.frame(from, variant, header.version, small),
                    false => None,
                };
                if let Some(frame) = frame {
                    writer.events += resolved.events as u64;
                    writer.shared(frame);
                } else {
                    let (group, id) = (&*group, watcher.id);
                    let events = || group.select(ring, from, variant).0;
                    let body = (&resolved.body, resolved.events);
                    let who = (id, watcher.flags);
                    let sent = write_events(writer, header, who, body, fragment_limit, events);
                    if sent.is_err() {
                        unservable.push(id);
                    }
                }
            }
            if resolved.to >= group.last {
                at += 1;
            }
        }
        if at < watchers.len() {
            delivery.resume = u32::try_from(at).expect("fewer than 4 G watchers");
            stream.work.push_front(Work::Deliver(delivery));
        } else if delivery.pass_to < group.last && !watchers.is_empty() {
            // Matches came in after the first watchers of this pass had been served.
            delivery.resume = 0;
            delivery.pending_from = delivery.pass_to + 1;
            stream.work.push_back(Work::Deliver(delivery));
        } else {
            let empty = watchers.is_empty();
            self.settle(delivery.sub);
            if empty {
                self.remove_sub(delivery.sub);
            }
        }
        for id in unservable {
            self.cancel_unservable(stream_ix, id);
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
