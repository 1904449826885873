//! Watches: every event of the range once, in order, resumable.

use bytes::Bytes;
use mainstay_proto::etcdserverpb::WatchResponse;
use mainstay_proto::mvccpb::Event;
use mainstay_proto::mvccpb::event::EventType;

use super::model::{Change, Model};
use super::{Checked, violated};

/// One watcher over all its streams.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    pub(crate) key: Bytes,
    pub(crate) end: Bytes,
    /// The next revision it wants.
    pub(crate) next: i64,
    /// Events received of revision `next`, when a response ended within it.
    pub(crate) received: u64,
    pub(crate) canceled: bool,
    pub(crate) created: bool,
}

fn same(event: &Event, change: &Change) -> bool {
    let Some(kv) = &event.kv else { return false };
    match &change.1 {
        Some(value) => event.r#type == EventType::Put as i32 && kv == value,
        None => event.r#type == EventType::Delete as i32 && kv.key == change.0,
    }
}

impl Watcher {
    pub(crate) fn new(key: Bytes, end: Bytes, next: i64) -> Self {
        Self {
            key,
            end,
            next,
            received: 0,
            canceled: false,
            created: false,
        }
    }

    /// Takes a response; its events must be exactly those that follow.
    pub(crate) fn take(&mut self, model: &Model, response: &WatchResponse) -> Checked {
        self.created |= response.created;
        if response.canceled {
            self.canceled = true;
            if response.compact_revision > 0
                && (response.compact_revision > model.compacted
                    || response.compact_revision <= self.next)
            {
                violated!(
                    "a watch from {} was cancelled as compacted at {}, which is at {}",
                    self.next,
                    response.compact_revision,
                    model.compacted
                );
            }
            return Ok(());
        }
        let header = response.header.as_ref().map_or(0, |h| h.revision);
        if response.events.is_empty() {
            return self.progress(model, response, header);
        }
        let right = model.events(self.next, &self.key, &self.end);
        for (position, event) in response.events.iter().enumerate() {
            let at = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            match right.get(position) {
                Some((revision, change)) if *revision == at && same(event, change) => {}
                other => violated!(
                    "a watch of {:?}..{:?} at {} received {event:?}, right is {other:?}",
                    self.key,
                    self.end,
                    self.next
                ),
            }
        }
        let sent = response.events.len();
        let last = right[sent - 1].0;
        if right
            .get(sent)
            .is_some_and(|(revision, _)| *revision == last)
        {
            violated!("a response to a watch ended within revision {last}");
        }
        self.received += sent as u64;
        self.next = last + 1;
        Ok(())
    }

    /// A notification of progress promises that everything up to its revision was sent.
    fn progress(&mut self, model: &Model, response: &WatchResponse, header: i64) -> Checked {
        if response.created {
            return Ok(());
        }
        let missing = model.events(self.next, &self.key, &self.end);
        if let Some((revision, _)) = missing.first()
            && *revision <= header
        {
            violated!(
                "a watch was told of progress up to {header} and has not received the event at {revision}"
            );
        }
        self.next = self.next.max(header + 1);
        Ok(())
    }

    /// Whether everything was received.
    pub(crate) fn is_complete(&self, model: &Model) -> bool {
        model.events(self.next, &self.key, &self.end).is_empty()
    }
}
