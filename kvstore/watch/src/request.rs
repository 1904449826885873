//! Requests: creating and cancelling watches.

use std::borrow::Cow;
use std::hash::BuildHasher;

use mainstay_proto::etcdserverpb::watch_create_request::FilterType;
use mainstay_proto::etcdserverpb::watch_request::RequestUnion;
use mainstay_proto::etcdserverpb::{WatchCreateRequest, WatchRequest};

use crate::limits::FUTURE_SLACK;
use crate::range::Range;
use crate::stream::{Control, Future, Slot, Work};
use crate::sub::{Few, Flags, Sub, Watcher};
use crate::{History, Shard, StreamId};

/// The watch id of a response that concerns no watch.
pub(crate) const INVALID_WATCH_ID: i64 = -1;

const REASON_EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const REASON_DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const REASON_COMPACTED: &str = "mvcc: required revision has been compacted";

impl Shard {
    /// Takes a request of a stream's client; permission has been checked (see [`Shard::refuse`]). Responses are
    /// queued on the stream: take the woken streams afterwards. A request of an unknown kind is ignored.
    pub fn request(
        &mut self,
        id: StreamId,
        request: &WatchRequest,
        history: &dyn History,
        now_ms: u64,
    ) {
        if self.stream(id).is_none() {
            return;
        }
        self.now = self.now.max(now_ms);
        match &request.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                self.create(id.at, create, history, now_ms);
            }
            Some(RequestUnion::CancelRequest(cancel)) => {
                self.learn(history.revision());
                self.cancel(id.at, cancel.watch_id);
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.learn(history.revision());
                self.request_progress(id);
            }
            None => {}
        }
    }

    /// Refuses a creation for a reason of the server's, such as a missing permission.
    pub fn refuse(&mut self, id: StreamId, reason: String, history: &dyn History) {
        if self.stream(id).is_some() {
            self.learn(history.revision());
            self.respond_refused(id.at, reason.into());
        }
    }

    /// Cancels every watch of a stream for a reason of the server's.
    pub fn cancel_all(&mut self, id: StreamId, reason: &str) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let mut live: Vec<i64> = stream
            .ids
            .iter()
            .filter(|(_, slot)| matches!(slot, Slot::Live { .. }))
            .map(|(&watch_id, _)| watch_id)
            .collect();
        live.sort_unstable();
        for watch_id in live {
            self.cancel_watch(id.at, watch_id, Cow::Owned(reason.to_owned()));
        }
        self.rest();
    }

    /// Queues a control response.
    pub(crate) fn respond(&mut self, stream: u32, control: Control) {
        self.streams[stream as usize].control.push_back(control);
        self.wake(stream);
    }

    fn respond_refused(&mut self, stream: u32, reason: Cow<'static, str>) {
        let control = Control {
            id: INVALID_WATCH_ID,
            revision: self.known,
            created: true,
            canceled: true,
            reason,
            ..Control::default()
        };
        self.respond(stream, control);
    }

    fn create(
        &mut self,
        stream: u32,
        request: &WatchCreateRequest,
        history: &dyn History,
        now_ms: u64,
    ) {
        self.activate(history);
        self.learn(history.revision());
        let Some(range) = Range::from_request(&request.key, &request.range_end) else {
            return self.respond_refused(stream, REASON_EMPTY_RANGE.into());
        };
        if request.start_revision < 0 {
            return self.respond_refused(stream, REASON_COMPACTED.into());
        }
        let Some(id) = self.choose_id(stream, request.watch_id) else {
            return self.respond_refused(stream, REASON_DUPLICATE_ID.into());
        };
        let start = match request.start_revision {
            0 => self.known + 1,
            revision => revision,
        };
        let mut flags = requested_flags(request);
        flags.set(Flags::FUTURE, request.start_revision > self.known);
        flags.set(Flags::UNSYNCED, start <= self.head);
        self.nonce = self.nonce.wrapping_add(1);
        let watcher = Watcher {
            id,
            cursor: start,
            nonce: self.nonce,
            flags,
        };
        self.add_watcher(stream, range, watcher);
        if flags.has(Flags::PROGRESS) {
            self.start_timer(stream, now_ms);
        }
        let created = Control {
            id,
            revision: self.known,
            created: true,
            ..Control::default()
        };
        self.respond(stream, created);
    }

    fn choose_id(&mut self, stream: u32, requested: i64) -> Option<i64> {
        let stream = &mut self.streams[stream as usize];
        if requested != 0 {
            return (!stream.ids.contains_key(&requested)).then_some(requested);
        }
        while stream.ids.contains_key(&stream.next_id) {
            stream.next_id += 1;
        }
        stream.next_id += 1;
        Some(stream.next_id - 1)
    }

    /// The stream's sub in the group of a range; made if there is none.
    fn sub(&mut self, stream: u32, range: Range) -> u32 {
        let group_ix = self.matcher.group(&mut self.groups, range);
        let hash = self.hasher.hash_one((stream, group_ix));
        let subs = &mut self.subs;
        let same = |&ix: &u32| {
            let sub = &subs[ix as usize];
            sub.stream == stream && sub.group == group_ix
        };
        if let Some(&known) = self.sub_table.find(hash, same) {
            return known;
        }
        let group = &mut self.groups[group_ix as usize];
        let place = u32::try_from(group.subs.len()).expect("fewer than 4 G streams");
        let sub = Sub {
            group: group_ix,
            stream,
            place,
            dirty: false,
            disturbed: false,
            watchers: Few::None,
        };
        let ix = u32::try_from(subs.insert(sub)).expect("fewer than 4 G watchers");
        group.subs.push(ix);
        let hasher = &self.hasher;
        self.sub_table.insert_unique(hash, ix, |&ix| {
            let sub = &subs[ix as usize];
            hasher.hash_one((sub.stream, sub.group))
        });
        ix
    }

    fn add_watcher(&mut self, stream_ix: u32, range: Range, watcher: Watcher) {
        let sub_ix = self.sub(stream_ix, range);
        let sub = &mut self.subs[sub_ix as usize];
        let at = u32::try_from(sub.watchers.len()).expect("fewer than 4 G watchers");
        sub.watchers.push(watcher);
        let stream = &mut self.streams[stream_ix as usize];
        let Watcher {
            id, nonce, flags, ..
        } = watcher;
        stream.ids.insert(id, Slot::Live { sub: sub_ix, at });
        stream.live += 1;
        self.watchers += 1;
        stream.progress_watchers += usize::from(flags.has(Flags::PROGRESS));
        if flags.has(Flags::FUTURE) {
            if stream.future.len() > stream.live + FUTURE_SLACK {
                stream.forget_reached(self.head);
            }
            let start = watcher.cursor;
            stream.future.push(Future { nonce, start });
        }
        if flags.has(Flags::UNSYNCED) {
            stream.unsynced += 1;
            self.unsynced += 1;
            stream.work.push_back(Work::CatchUp { id, nonce });
        }
    }

    /// The client cancels a watch; an unknown id is ignored.
    fn cancel(&mut self, stream: u32, id: i64) {
        if self.streams[stream as usize].ids.contains_key(&id) {
            self.cancel_watch(stream, id, Cow::Borrowed(""));
            self.rest();
        }
    }

    /// Removes a watch and says so.
    pub(crate) fn cancel_watch(&mut self, stream: u32, id: i64, reason: Cow<'static, str>) {
        self.remove_watcher(stream, id);
        let control = Control {
            id,
            revision: self.known,
            canceled: true,
            reason,
            ..Control::default()
        };
        self.respond(stream, control);
    }

    /// Compaction took events the watch still wants: says so and keeps the id taken.
    pub(crate) fn cancel_compacted(&mut self, stream: u32, id: i64, compacted: i64) {
        self.remove_watcher(stream, id);
        self.streams[stream as usize]
            .ids
            .insert(id, Slot::Compacted);
        let control = Control {
            id,
            revision: 0,
            canceled: true,
            compact_revision: compacted,
            ..Control::default()
        };
        self.respond(stream, control);
    }

    /// Removes a watcher and what only it needed.
    pub(crate) fn remove_watcher(&mut self, stream_ix: u32, id: i64) {
        let stream = &mut self.streams[stream_ix as usize];
        let Some(Slot::Live { sub: sub_ix, at }) = stream.ids.remove(&id) else {
            return;
        };
        let sub = &mut self.subs[sub_ix as usize];
        let watcher = sub.watchers.swap_remove(at as usize);
        if let Some(moved) = sub.watchers.as_slice().get(at as usize) {
            stream.ids.insert(moved.id, Slot::Live { sub: sub_ix, at });
            sub.disturbed = sub.dirty;
        }
        stream.live -= 1;
        self.watchers -= 1;
        stream.progress_watchers -= usize::from(watcher.flags.has(Flags::PROGRESS));
        if watcher.flags.has(Flags::FUTURE) {
            stream.future.retain(|f| f.nonce != watcher.nonce);
        }
        if watcher.flags.has(Flags::UNSYNCED) {
            stream.unsynced -= 1;
            self.unsynced -= 1;
        }
        // A dirty sub is referred to by its stream's work and removed when that comes up.
        if sub.watchers.len() == 0 && !sub.dirty {
            self.remove_sub(sub_ix);
        }
    }

    /// Removes an empty sub, and its group if it was the last one there.
    pub(crate) fn remove_sub(&mut self, ix: u32) {
        let sub = self.subs.remove(ix as usize);
        let hash = self.hasher.hash_one((sub.stream, sub.group));
        if let Ok(entry) = self.sub_table.find_entry(hash, |&at| at == ix) {
            entry.remove();
        }
        let group = &mut self.groups[sub.group as usize];
        group.subs.swap_remove(sub.place as usize);
        if let Some(&moved) = group.subs.as_slice().get(sub.place as usize) {
            self.subs[moved as usize].place = sub.place;
        }
        if group.subs.len() == 0 {
            let group = self.matcher.remove(&mut self.groups, sub.group);
            self.pending_total -= group.pending.len();
            self.recent.forget_group();
        }
    }

    /// Drops a closing stream's work, and with it the subs that only awaited it.
    pub(crate) fn discard_work(&mut self, stream: u32) {
        let work = std::mem::take(&mut self.streams[stream as usize].work);
        for item in work {
            if let Work::Deliver(delivery) = item {
                self.settle(delivery.sub);
                self.remove_sub(delivery.sub);
            }
        }
    }
}

fn requested_flags(request: &WatchCreateRequest) -> Flags {
    let mut flags = Flags::default();
    flags.set(Flags::PREV_KV, request.prev_kv);
    flags.set(Flags::FRAGMENT, request.fragment);
    flags.set(Flags::PROGRESS, request.progress_notify);
    let filtered = |kind: FilterType| request.filters.contains(&(kind as i32));
    flags.set(Flags::NO_PUT, filtered(FilterType::Noput));
    flags.set(Flags::NO_DELETE, filtered(FilterType::Nodelete));
    flags
}
