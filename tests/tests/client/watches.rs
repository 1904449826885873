//! Watch: ids, forms of cancellation, order, atomicity, filters, fragments and progress.
//!
//! That something is *not* delivered is shown by order: a later event arrives without it.

use crate::one;
use bytes::Bytes;
use mainstay_proto::etcdserverpb as pb;
use mainstay_proto::mvccpb::Event;
use mainstay_tests::raw::{Watches, prefix_end};
use mainstay_tests::{Cluster, Raw};
use pb::request_op::Request;
use pb::watch_create_request::FilterType;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) fn on(key: &'static str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        key: key.into(),
        ..Default::default()
    }
}

fn on_prefix(prefix: &'static str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        range_end: prefix_end(prefix.as_bytes()),
        ..on(prefix)
    }
}

pub(crate) fn from(start_revision: i64, request: pb::WatchCreateRequest) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        start_revision,
        ..request
    }
}

/// Events as text: revision, kind, key, value.
fn told(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let kv = event.kv.as_ref().unwrap();
            let key = String::from_utf8_lossy(&kv.key);
            let value = String::from_utf8_lossy(&kv.value);
            let kind = if event.r#type == 0 { "put" } else { "del" };
            format!("{} {kind} {key} {value}", kv.mod_revision)
        })
        .collect()
}

/// Reads until so many events have come; they may be spread over responses in any way.
async fn events(stream: &mut Watches, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let response = stream.next().await.unwrap();
        assert!(!response.canceled && !response.created, "{response:?}");
        events.extend(response.events);
    }
    assert_eq!(events.len(), count, "{:?}", told(&events));
    events
}

async fn transact(raw: &Raw, operations: Vec<Request>) {
    let success = operations.into_iter().map(|request| pb::RequestOp {
        request: Some(request),
    });
    let request = pb::TxnRequest {
        success: success.collect(),
        ..Default::default()
    };
    raw.txn(request).await.unwrap();
}

fn put(key: &str, value: &str) -> Request {
    let (key, value) = (Bytes::from(key.to_owned()), Bytes::from(value.to_owned()));
    Request::RequestPut(pb::PutRequest {
        key,
        value,
        ..Default::default()
    })
}

fn delete(key: &'static str) -> Request {
    Request::RequestDeleteRange(pb::DeleteRangeRequest {
        key: key.into(),
        ..Default::default()
    })
}

#[tokio::test]
async fn ids_are_counted_per_stream_from_zero() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    assert_eq!(stream.created(on("a")).await.watch_id, 0);
    assert_eq!(stream.created(on("a")).await.watch_id, 1);
    let own = pb::WatchCreateRequest {
        watch_id: 3,
        ..on("a")
    };
    assert_eq!(stream.created(own).await.watch_id, 3);
    assert_eq!(stream.created(on("a")).await.watch_id, 2);
    assert_eq!(stream.created(on("a")).await.watch_id, 4, "3 is taken");
    let mut other = raw.watch_stream();
    let first = other.created(on("a")).await;
    assert_eq!((first.watch_id, first.canceled), (0, false));
    assert_eq!(first.header.unwrap().revision, 1);
    let revision = raw.set("a", "v").await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        let response = stream.next().await.unwrap();
        assert_eq!(response.header.unwrap().revision, revision);
        ids.push(response.watch_id);
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4], "every watch gets its own response");
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_the_stream_goes_on() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    let own = pb::WatchCreateRequest {
        watch_id: 5,
        ..on("a")
    };
    stream.created(own.clone()).await;
    let refused = stream.created(own).await;
    assert!(refused.canceled);
    assert_eq!(refused.watch_id, -1);
    assert_eq!(
        refused.cancel_reason,
        "mvcc: duplicate watch ID provided on the WatchStream"
    );
    raw.set("a", "v").await.unwrap();
    assert_eq!(stream.next().await.unwrap().watch_id, 5);
}

#[tokio::test]
async fn an_empty_range_is_refused() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    for end in ["b", "a"] {
        let request = pb::WatchCreateRequest {
            range_end: end.into(),
            ..on("b")
        };
        let refused = stream.created(request).await;
        assert!(refused.canceled);
        assert_eq!(refused.watch_id, -1);
        assert_eq!(refused.cancel_reason, "mvcc: watcher range is empty");
    }
}

#[tokio::test]
async fn ranges_select_events() {
    let (_cluster, raw) = one().await;
    for key in ["a", "b", "ba", "c"] {
        raw.set(key, "v").await.unwrap();
    }
    for (request, expected) in [
        (on("b"), vec!["b"]),
        (on_prefix("b"), vec!["b", "ba"]),
        (
            pb::WatchCreateRequest {
                range_end: "c".into(),
                ..on("a")
            },
            vec!["a", "b", "ba"],
        ),
        (
            pb::WatchCreateRequest {
                range_end: "\0".into(),
                ..on("ba")
            },
            vec!["ba", "c"],
        ),
        (
            pb::WatchCreateRequest {
                range_end: "\0".into(),
                ..on("")
            },
            vec!["a", "b", "ba", "c"],
        ),
    ] {
        let mut stream = raw.watch_stream();
        stream.created(from(2, request)).await;
        let events = events(&mut stream, expected.len()).await;
        let keys: Vec<Bytes> = events
            .into_iter()
            .map(|event| event.kv.unwrap().key)
            .collect();
        assert_eq!(keys, expected);
    }
}

#[tokio::test]
async fn the_past_is_delivered_in_order_then_the_present() {
    let (_cluster, raw) = one().await;
    raw.set("k", "1").await.unwrap();
    raw.set("k", "2").await.unwrap();
    raw.remove("k").await.unwrap();
    let mut stream = raw.watch_stream();
    stream.created(from(3, on("k"))).await;
    raw.set("k", "3").await.unwrap();
    let events = events(&mut stream, 3).await;
    assert_eq!(told(&events), ["3 put k 2", "4 del k ", "5 put k 3"]);
    let deleted = events[1].kv.as_ref().unwrap();
    assert_eq!(
        (deleted.create_revision, deleted.version, deleted.lease),
        (0, 0, 0)
    );
    let recreated = events[2].kv.as_ref().unwrap();
    assert_eq!((recreated.create_revision, recreated.version), (5, 1));
}

#[tokio::test]
async fn a_future_revision_waits() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    stream.created(from(5, on("k"))).await;
    for value in ["2", "3", "4", "5", "6"] {
        raw.set("k", value).await.unwrap();
    }
    assert_eq!(
        told(&events(&mut stream, 2).await),
        ["5 put k 5", "6 put k 6"]
    );
}

#[tokio::test]
async fn negative_revisions_are_refused_as_compacted() {
    let (cluster, raw) = one().await;
    if !cluster.server().at_least(3, 6) {
        println!("skipped: refused since etcd 3.6");
        return;
    }
    let mut stream = raw.watch_stream();
    let refused = stream.created(from(-1, on("k"))).await;
    assert!(refused.canceled);
    assert_eq!((refused.watch_id, refused.compact_revision), (-1, 0));
    let text = "etcdserver: mvcc: required revision has been compacted";
    assert!(
        text.ends_with(&refused.cancel_reason) && !refused.cancel_reason.is_empty(),
        "{refused:?}"
    );
}

#[tokio::test]
async fn compacted_revisions_are_created_then_cancelled() {
    let (_cluster, raw) = one().await;
    for value in ["2", "3", "4", "5"] {
        raw.set("k", value).await.unwrap();
    }
    raw.compact(pb::CompactionRequest {
        revision: 4,
        physical: true,
    })
    .await
    .unwrap();
    let mut stream = raw.watch_stream();
    let id = stream.created(from(3, on("k"))).await.watch_id;
    let cancelled = stream.next().await.unwrap();
    assert!(cancelled.canceled && !cancelled.created && cancelled.events.is_empty());
    assert_eq!((cancelled.watch_id, cancelled.compact_revision), (id, 4));
    assert_eq!(cancelled.cancel_reason, "");
    assert_eq!(cancelled.header.unwrap().revision, 0);
    stream.created(from(4, on("k"))).await;
    assert_eq!(
        told(&events(&mut stream, 2).await),
        ["4 put k 4", "5 put k 5"],
        "itself is served"
    );
}

#[tokio::test]
async fn a_delete_at_the_compacted_revision_is_still_seen() {
    let (cluster, raw) = one().await;
    if !cluster.server().at_least(3, 6) {
        println!("skipped: older servers drop that tombstone");
        return;
    }
    raw.set("k", "v").await.unwrap();
    let deleted = raw.remove("k").await.unwrap();
    raw.set("other", "v").await.unwrap();
    raw.compact(pb::CompactionRequest {
        revision: deleted,
        physical: true,
    })
    .await
    .unwrap();
    let mut stream = raw.watch_stream();
    stream.created(from(deleted, on_prefix(""))).await;
    assert_eq!(
        told(&events(&mut stream, 2).await),
        ["3 del k ", "4 put other v"]
    );
}

#[tokio::test]
async fn cancelled_watches_say_so_once_and_stay_silent() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    let cancelled_id = stream.created(on("k")).await.watch_id;
    let kept_id = stream.created(on("k")).await.watch_id;
    stream.cancel(99).await;
    stream.cancel(cancelled_id).await;
    let response = stream.next().await.unwrap();
    assert!(response.canceled && !response.created);
    assert_eq!(
        (response.watch_id, response.compact_revision),
        (cancelled_id, 0)
    );
    stream.cancel(cancelled_id).await;
    for value in ["1", "2"] {
        raw.set("k", value).await.unwrap();
        assert_eq!(stream.next().await.unwrap().watch_id, kept_id);
    }
}

#[tokio::test]
async fn a_revision_is_never_split() {
    let (_cluster, raw) = one().await;
    let mut live = raw.watch_stream();
    live.created(on_prefix("t/")).await;
    for round in 0..20 {
        transact(
            &raw,
            (0..50)
                .map(|key| put(&format!("t/{key:02}"), &round.to_string()))
                .collect(),
        )
        .await;
    }
    let mut past = raw.watch_stream();
    past.created(from(2, on_prefix("t/"))).await;
    for stream in [&mut live, &mut past] {
        let (mut seen, mut last) = (0, 1);
        while seen < 20 * 50 {
            let response = stream.next().await.unwrap();
            for event in &response.events {
                let kv = event.kv.as_ref().unwrap();
                assert!(kv.mod_revision >= last, "in order");
                let expected = if seen % 50 == 0 { last + 1 } else { last };
                assert_eq!(kv.mod_revision, expected);
                assert_eq!(
                    kv.key,
                    format!("t/{:02}", seen % 50),
                    "sub-revisions in order"
                );
                last = kv.mod_revision;
                seen += 1;
            }
            assert_eq!(seen % 50, 0, "whole revisions only");
        }
    }
}

#[tokio::test]
async fn one_response_holds_a_transactions_puts_and_deletes() {
    let (_cluster, raw) = one().await;
    raw.set("w/old", "v").await.unwrap();
    let mut stream = raw.watch_stream();
    stream.created(on_prefix("w/")).await;
    transact(
        &raw,
        vec![
            put("w/b", "1"),
            delete("w/old"),
            put("w/a", "2"),
            put("x", "3"),
        ],
    )
    .await;
    let response = stream.next().await.unwrap();
    assert_eq!(
        told(&response.events),
        ["3 put w/b 1", "3 del w/old ", "3 put w/a 2"]
    );
}

#[tokio::test]
async fn filters_drop_kinds_of_events() {
    let (_cluster, raw) = one().await;
    let filtered = |filter: FilterType| pb::WatchCreateRequest {
        filters: vec![filter.into()],
        ..on("k")
    };
    let mut deletes = raw.watch_stream();
    deletes.created(filtered(FilterType::Noput)).await;
    let mut puts = raw.watch_stream();
    puts.created(filtered(FilterType::Nodelete)).await;
    for _ in 0..2 {
        raw.set("k", "v").await.unwrap();
        raw.remove("k").await.unwrap();
    }
    raw.set("k", "last").await.unwrap();
    assert_eq!(
        told(&events(&mut deletes, 2).await),
        ["3 del k ", "5 del k "]
    );
    let expected = ["2 put k v", "4 put k v", "6 put k last"];
    assert_eq!(told(&events(&mut puts, 3).await), expected);
}

#[tokio::test]
async fn previous_values_come_when_asked_and_known() {
    let (_cluster, raw) = one().await;
    raw.set("k", "1").await.unwrap();
    raw.set("k", "2").await.unwrap();
    raw.remove("k").await.unwrap();
    raw.set("k", "3").await.unwrap();
    let with_previous = pb::WatchCreateRequest {
        prev_kv: true,
        ..from(2, on("k"))
    };
    let mut stream = raw.watch_stream();
    stream.created(with_previous.clone()).await;
    let previous: Vec<Option<String>> = events(&mut stream, 4)
        .await
        .into_iter()
        .map(|event| {
            event
                .prev_kv
                .map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
        })
        .collect();
    let some = |value: &str| Some(value.to_owned());
    assert_eq!(previous, [None, some("1"), some("2"), None]);
    let mut plain = raw.watch_stream();
    plain.created(from(2, on("k"))).await;
    assert!(
        events(&mut plain, 4)
            .await
            .iter()
            .all(|event| event.prev_kv.is_none())
    );
    // At the compacted revision itself the value before it may be gone; etcd leaves it out, and a server that
    // still has it may tell it.
    raw.compact(pb::CompactionRequest {
        revision: 3,
        physical: true,
    })
    .await
    .unwrap();
    let mut late = raw.watch_stream();
    late.created(from(3, with_previous)).await;
    let events = events(&mut late, 3).await;
    assert!(events[0].prev_kv.as_ref().is_none_or(|kv| kv.value == "1"),);
    assert_eq!(events[1].prev_kv.as_ref().unwrap().value, "2");
}

#[tokio::test]
async fn large_revisions_are_fragmented_only_when_allowed() {
    let (_cluster, raw) = one().await;
    let mut whole = raw.watch_stream();
    whole.created(on_prefix("f/")).await;
    let mut pieces = raw.watch_stream();
    pieces
        .created(pb::WatchCreateRequest {
            fragment: true,
            ..on_prefix("f/")
        })
        .await;
    // Six revisions of a megabyte in the past make one response far above the limit.
    let value = "v".repeat(500_000);
    for round in 0..6 {
        transact(
            &raw,
            vec![
                put(&format!("f/{round}a"), &value),
                put(&format!("f/{round}b"), &value),
            ],
        )
        .await;
    }
    let mut past = raw.watch_stream();
    past.created(pb::WatchCreateRequest {
        fragment: true,
        ..from(2, on_prefix("f/"))
    })
    .await;
    assert!(!events(&mut whole, 12).await.is_empty());
    for stream in [&mut pieces, &mut past] {
        let (mut seen, mut fragments, mut open) = (0, 0, false);
        while seen < 12 || open {
            let response = stream.next().await.unwrap();
            assert!(!response.events.is_empty());
            let bytes: usize = response
                .events
                .iter()
                .map(|e| e.kv.as_ref().unwrap().value.len())
                .sum();
            assert!(bytes <= 3_000_000, "{bytes}");
            seen += response.events.len();
            fragments += usize::from(response.fragment);
            open = response.fragment;
        }
        assert_eq!(seen, 12);
        println!("{fragments} fragments");
    }
}

#[tokio::test]
async fn many_watchers_see_the_same_while_writers_write() {
    let cluster = Cluster::start(3).await;
    let mut watchers = JoinSet::new();
    for watcher in 0..30 {
        let raw = cluster.raw(watcher % 3);
        watchers.spawn(async move {
            let mut stream = raw.watch_stream();
            stream.created(from(2, on_prefix("m/"))).await;
            told(&events(&mut stream, 400).await)
        });
    }
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let raw = cluster.raw(writer % 3);
        writers.spawn(async move {
            for value in 0..100 {
                raw.set(format!("m/{writer}"), value.to_string())
                    .await
                    .unwrap();
            }
        });
    }
    writers.join_all().await;
    let seen = watchers.join_all().await;
    assert!(seen.iter().all(|events| *events == seen[0]));
}

#[tokio::test]
async fn a_watcher_that_does_not_read_blocks_nobody() {
    let (_cluster, raw) = one().await;
    // Its responses pile up unread: first in this client's window, then at the server.
    let mut slow = raw.watch_stream();
    slow.created(on_prefix("s/")).await;
    let other = _cluster.raw(0);
    let mut quick = other.watch_stream();
    quick.created(on_prefix("s/")).await;
    let value = "v".repeat(50_000);
    let begun = Instant::now();
    for key in 0..400 {
        other
            .set(format!("s/{key:03}"), value.clone())
            .await
            .unwrap();
        let event = quick.next().await.unwrap();
        assert_eq!(event.events[0].kv.as_ref().unwrap().mod_revision, key + 2);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    let late = events(&mut slow, 400).await;
    let revisions = late
        .iter()
        .map(|event| event.kv.as_ref().unwrap().mod_revision);
    assert!(revisions.eq(2..402), "and it misses nothing");
}
