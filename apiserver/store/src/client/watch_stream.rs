//! Makes whole revisions of the messages of one watch, in order and without doubles. Pure.

use super::stored::Stored;
use super::watch::{WatchEvent, WatchItem};
use mainstay_proto::etcdserverpb::WatchResponse;
use mainstay_proto::mvccpb::{Event, event::EventType};

/// Reads the messages of one watch, over all the streams it has had.
#[derive(Debug)]
pub(crate) struct Assembler {
    /// Everything up to here has been handed on.
    last: i64,
    /// The store this watch belongs to, once it has said so.
    cluster: Option<u64>,
    /// The latest revision of a message whose rest is still to come.
    held: Vec<WatchEvent>,
}

/// What a message means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The watch is confirmed.
    Created,
    /// Something for the consumer.
    Item(WatchItem),
    /// Nothing for now.
    Nothing,
    /// The member ends the watch, or does what no member should: go to another.
    Broken(String),
}

impl Assembler {
    /// A watch of everything after `last`.
    pub(crate) fn new(last: i64) -> Self {
        Self {
            last,
            cluster: None,
            held: Vec::new(),
        }
    }

    /// The first revision that the next stream must bring.
    pub(crate) fn next_revision(&self) -> i64 {
        self.last + 1
    }

    /// The stream was lost: what was not complete will come again.
    pub(crate) fn stream_lost(&mut self) {
        self.held.clear();
    }

    pub(crate) fn read(&mut self, message: WatchResponse) -> Signal {
        let Some(header) = message.header else {
            return Signal::Broken("a message without a header".into());
        };
        if *self.cluster.get_or_insert(header.cluster_id) != header.cluster_id {
            return Signal::Item(WatchItem::Reset(
                "the endpoint belongs to another store now".into(),
            ));
        }
        if message.compact_revision > 0 {
            let oldest = message.compact_revision;
            return Signal::Item(WatchItem::Compacted { oldest });
        }
        if message.canceled {
            return Signal::Broken(format!("cancelled: {}", message.cancel_reason));
        }
        if message.created {
            return Signal::Created;
        }
        if message.events.is_empty() {
            // An older member that lags behind must not turn the time back.
            if header.revision <= self.last || !self.held.is_empty() {
                return Signal::Nothing;
            }
            self.last = header.revision;
            return Signal::Item(WatchItem::Progress(header.revision));
        }
        self.events(message.events, message.fragment)
    }

    fn events(&mut self, events: Vec<Event>, more: bool) -> Signal {
        let mut ready = std::mem::take(&mut self.held);
        let mut newest = ready.last().map_or(self.last, |event| event.revision);
        for event in events {
            let Some(event) = WatchEvent::read(event) else {
                return Signal::Broken("an event without a key".into());
            };
            if event.revision <= self.last {
                continue;
            }
            if event.revision < newest {
                return Signal::Broken(format!("revision {} came after {newest}", event.revision));
            }
            newest = event.revision;
            ready.push(event);
        }
        if more {
            let whole = ready.partition_point(|event| event.revision < newest);
            self.held = ready.split_off(whole);
        }
        let Some(latest) = ready.last() else {
            return Signal::Nothing;
        };
        self.last = latest.revision;
        Signal::Item(WatchItem::Events(ready))
    }
}

impl WatchEvent {
    fn read(event: Event) -> Option<Self> {
        let kv = event.kv?;
        let previous = event.prev_kv.map(Stored::from);
        let (key, revision) = (kv.key.clone(), kv.mod_revision);
        let deleted = event.r#type == i32::from(EventType::Delete);
        let value = (!deleted).then(|| Stored::from(kv));
        Some(Self {
            key,
            revision,
            value,
            previous,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Assembler, Signal};
    use crate::client::watch::WatchItem;
    use mainstay_proto::etcdserverpb::{ResponseHeader, WatchResponse};
    use mainstay_proto::mvccpb::{Event, KeyValue};

    fn message(revision: i64, events: &[(&'static str, i64)], fragment: bool) -> WatchResponse {
        let event = |&(key, mod_revision): &(&'static str, i64)| Event {
            kv: Some(KeyValue {
                key: key.into(),
                mod_revision,
                ..Default::default()
            }),
            ..Default::default()
        };
        WatchResponse {
            header: Some(ResponseHeader {
                cluster_id: 7,
                revision,
                ..Default::default()
            }),
            fragment,
            events: events.iter().map(event).collect(),
            ..Default::default()
        }
    }

    fn keys(signal: Signal) -> Vec<(String, i64)> {
        match signal {
            Signal::Item(WatchItem::Events(events)) => events
                .iter()
                .map(|e| (String::from_utf8_lossy(&e.key).into_owned(), e.revision))
                .collect(),
            Signal::Nothing => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    fn named(events: &[(&str, i64)]) -> Vec<(String, i64)> {
        events.iter().map(|&(k, r)| (k.to_owned(), r)).collect()
    }

    #[test]
    fn a_revision_in_fragments_is_handed_on_whole() {
        let mut watch = Assembler::new(4);
        let first = watch.read(message(9, &[("a", 5), ("b", 6)], true));
        assert_eq!(keys(first), named(&[("a", 5)]));
        assert_eq!(watch.next_revision(), 6, "6 may have more");
        assert_eq!(keys(watch.read(message(9, &[("c", 6)], true))), []);
        let rest = watch.read(message(9, &[("d", 6), ("e", 7)], false));
        assert_eq!(keys(rest), named(&[("b", 6), ("c", 6), ("d", 6), ("e", 7)]));
    }

    #[test]
    fn a_lost_stream_begins_at_the_first_incomplete_revision() {
        let mut watch = Assembler::new(4);
        assert_eq!(keys(watch.read(message(9, &[("b", 6)], true))), []);
        watch.stream_lost();
        assert_eq!(watch.next_revision(), 5);
        let again = watch.read(message(9, &[("b", 6), ("c", 6)], false));
        assert_eq!(keys(again), named(&[("b", 6), ("c", 6)]));
        let old = watch.read(message(9, &[("b", 6), ("d", 7)], false));
        assert_eq!(keys(old), named(&[("d", 7)]), "6 was seen");
    }

    #[test]
    fn progress_moves_forward_only() {
        let mut watch = Assembler::new(4);
        let progress = watch.read(message(9, &[], false));
        assert_eq!(progress, Signal::Item(WatchItem::Progress(9)));
        assert_eq!(watch.read(message(8, &[], false)), Signal::Nothing);
        assert_eq!(watch.next_revision(), 10);
    }

    #[test]
    fn another_store_under_the_same_url_is_noticed() {
        let mut watch = Assembler::new(4);
        watch.read(message(9, &[], false));
        let mut other = message(10, &[], false);
        other.header.as_mut().unwrap().cluster_id = 8;
        let signal = watch.read(other);
        assert!(
            matches!(signal, Signal::Item(WatchItem::Reset(_))),
            "{signal:?}"
        );
    }

    #[test]
    fn disorder_breaks_the_stream() {
        let mut watch = Assembler::new(4);
        let signal = watch.read(message(9, &[("a", 7), ("b", 6)], false));
        assert!(matches!(signal, Signal::Broken(_)), "{signal:?}");
    }
}
