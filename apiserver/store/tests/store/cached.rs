//! Lists and watches from the cache.

use crate::support::{Shown, cache, cache_with, has_progress, key, on_each_server, until};
use bytes::Bytes;
use mainstay_apistore::client::{Created, Deleted, Updated};
use mainstay_apistore::{
    CacheError, Client, EventKind, Freshness, RingLimits, Scope, Start, Step, View, WatchRequest,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

async fn create(client: &Client, name: &str, value: &str) -> i64 {
    match client.create(key(name), value.to_owned().into(), 0).await {
        Ok(Created::Done(revision)) => revision,
        other => panic!("{name}: {other:?}"),
    }
}

async fn update(client: &Client, name: &str, from: i64, value: &str) -> i64 {
    let done = client.update(key(name), from, value.to_owned().into(), 0);
    match done.await {
        Ok(Updated::Done(revision)) => revision,
        other => panic!("{name}: {other:?}"),
    }
}

fn names(view: &View) -> Vec<String> {
    let name = |key: &Bytes| String::from_utf8_lossy(&key[crate::support::PREFIX.len()..]).into();
    view.iter().map(|object| name(&object.key)).collect()
}

#[tokio::test]
async fn lists_by_scope_and_page() {
    on_each_server(async |_, client| {
        for (name, node) in [("a/1", "n1"), ("a/2", "n2"), ("ab/3", "n1"), ("b/4", "n1")] {
            create(&client, name, &format!("{node};app=x;")).await;
        }
        client
            .create(key("a/odd"), "not an object".into(), 0)
            .await
            .unwrap();
        client
            .create(key("a/worse"), "a decoder's mistake".into(), 0)
            .await
            .unwrap();
        let cache = cache(&client);
        let list = async |scope: Scope| {
            let view = cache
                .list(&scope, Freshness::Consistent, until())
                .await
                .unwrap();
            assert_eq!(view.len(), view.iter().count());
            names(&view)
        };
        assert_eq!(list(Scope::All).await, ["a/1", "a/2", "ab/3", "b/4"]);
        assert_eq!(list(Scope::namespace("a")).await, ["a/1", "a/2"]);
        assert_eq!(list(Scope::index("n1")).await, ["a/1", "ab/3", "b/4"]);
        assert_eq!(list(Scope::Key(key("a/2"))).await, ["a/2"]);
        assert_eq!(list(Scope::Key(key("a/none"))).await, [""; 0]);
        assert_eq!(list(Scope::index("none")).await, [""; 0]);

        // The second page is of the first one's revision, whatever was written meanwhile.
        let first = cache
            .list(&Scope::All, Freshness::Consistent, until())
            .await
            .unwrap();
        let at = first.revision();
        let got = client.get(key("ab/3"), Default::default()).await.unwrap();
        let found = got.found.expect("it exists");
        client.delete(key("ab/3"), found.revision).await.unwrap();
        create(&client, "a/11", "n1;app=x;").await;
        let now = cache
            .list(&Scope::All, Freshness::Consistent, until())
            .await
            .unwrap();
        assert_eq!(names(&now), ["a/1", "a/11", "a/2", "b/4"]);
        let past = cache
            .list(&Scope::All, Freshness::Exact(at), until())
            .await
            .unwrap();
        assert_eq!(past.revision(), at);
        let past = past.after(&key("a/2"));
        assert_eq!(
            (names(&past), past.len()),
            (vec!["ab/3".into(), "b/4".into()], 2)
        );
        let node = Scope::index("n1");
        let past = cache.list(&node, Freshness::Exact(at), until()).await;
        assert_eq!(names(&past.unwrap()), ["a/1", "ab/3", "b/4"]);

        let old = cache.list(&Scope::All, Freshness::Exact(0), until()).await;
        assert!(matches!(old, Err(CacheError::TooOld { .. })), "{old:?}");
        let future = Freshness::NotOlderThan(1_000_000);
        let future = cache.list(&Scope::All, future, until()).await;
        assert!(matches!(
            future,
            Err(CacheError::TooLarge {
                requested: 1_000_000,
                ..
            })
        ));
    })
    .await;
}

#[tokio::test]
async fn a_watcher_sees_objects_come_and_go_by_node_and_label() {
    on_each_server(async |_, client| {
        let first = create(&client, "a/1", "n1;app=x;").await;
        let cache = cache(&client);
        let request = WatchRequest {
            filter: Some(Arc::new(|object| {
                object.attributes.label("app") == Some("x")
            })),
            ..WatchRequest::new(Scope::index("n1"), Start::Initial)
        };
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let mut kinds = Vec::new();
        let mut revision = first;
        for value in [
            "n1;app=x;2",
            "n2;app=x;3",
            "n2;app=x;4",
            "n1;app=x;5",
            "n1;app=y;6",
            "n1;app=x;7",
        ] {
            revision = update(&client, "a/1", revision, value).await;
        }
        let Deleted::Done(last) = client.delete(key("a/1"), revision).await.unwrap() else {
            panic!("nobody else writes");
        };
        while watcher.revision() < last {
            match watcher.next().await.unwrap() {
                Step::Events(events) => kinds.extend(events.iter().map(|event| {
                    let text = String::from_utf8_lossy(&event.object().value).into_owned();
                    (event.kind(), text)
                })),
                Step::InitialEnd(revision) => assert!(revision >= first),
                Step::Bookmark(_) => panic!("nobody asked for it"),
            }
        }
        let expected = [
            (EventKind::Added, "n1;app=x;"),
            (EventKind::Modified, "n1;app=x;2"),
            (EventKind::Deleted, "n1;app=x;2"),
            (EventKind::Added, "n1;app=x;5"),
            (EventKind::Deleted, "n1;app=x;5"),
            (EventKind::Added, "n1;app=x;7"),
            (EventKind::Deleted, "n1;app=x;7"),
        ];
        // The watcher may have begun a little later than the first changes were written.
        let mut shown = kinds.iter().map(|(kind, text)| (*kind, text.as_str()));
        let start = shown
            .next()
            .expect("there is an initial state or an addition");
        assert_eq!(start.0, EventKind::Added);
        let at = expected.iter().position(|e| e.1 == start.1).unwrap();
        let rest: Vec<_> = shown.collect();
        assert!(expected.ends_with(&rest), "{rest:?} after {at}");
        assert_eq!(rest.last(), expected.last());
    })
    .await;
}

#[tokio::test]
async fn a_frame_is_encoded_once_for_all() {
    on_each_server(async |_, client| {
        let cache = cache(&client);
        let mut watchers = Vec::new();
        for _ in 0..50 {
            let request =
                WatchRequest::new(Scope::namespace("a"), Start::After(cache.revision().max(1)));
            watchers.push(cache.watch(request, until()).await.unwrap());
        }
        create(&client, "a/1", "n1;app=x;").await;
        let encoded = AtomicUsize::new(0);
        for watcher in &mut watchers {
            let Step::Events(events) = watcher.next().await.unwrap() else {
                panic!("an event comes first");
            };
            let frame = events[0].frame(1, |event| {
                encoded.fetch_add(1, Ordering::Relaxed);
                event.object().value.clone()
            });
            assert_eq!(frame, "n1;app=x;");
        }
        assert_eq!(encoded.load(Ordering::Relaxed), 1);
        assert_eq!(cache.stats().watchers, 50);
        drop(watchers);
        assert_eq!(cache.stats().watchers, 0);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_left_behind_by_the_ring_is_told() {
    on_each_server(async |_, client| {
        let limits = RingLimits {
            events_max: 10,
            ..RingLimits::default()
        };
        let cache = cache_with(&client, limits);
        cache.ready(until()).await.unwrap();
        let start = Start::After(cache.revision());
        let mut slow = cache
            .watch(WatchRequest::new(Scope::All, start), until())
            .await
            .unwrap();
        let other = WatchRequest::new(Scope::namespace("quiet"), start);
        let mut quiet = cache.watch(other, until()).await.unwrap();
        for index in 0..30 {
            create(&client, &format!("busy/{index}"), "n1;app=x;").await;
        }
        let last = create(&client, "quiet/1", "n1;app=x;").await;
        cache
            .list(&Scope::All, Freshness::NotOlderThan(last), until())
            .await
            .unwrap();
        assert!(matches!(slow.next().await, Err(CacheError::TooOld { .. })));
        // What has left the ring was none of its business.
        let mut shown = Shown::default();
        shown
            .read_until(&mut quiet, |shown| shown.events == 1)
            .await
            .unwrap();
        let late = cache
            .watch(WatchRequest::new(Scope::All, start), until())
            .await;
        assert!(matches!(late, Err(CacheError::TooOld { .. })), "{late:?}");
    })
    .await;
}

#[tokio::test]
async fn bookmarks_say_what_is_current() {
    on_each_server(async |cluster, client| {
        let cache = cache(&client);
        create(&client, "a/1", "n1;app=x;").await;
        let request = WatchRequest {
            bookmarks: Some(Duration::from_millis(50)),
            ..WatchRequest::new(Scope::namespace("other"), Start::Initial)
        };
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let event = create(&client, "a/2", "n1;app=x;").await;
        let outside = client
            .create("/elsewhere".into(), "v".into(), 0)
            .await
            .unwrap();
        let Created::Done(outside) = outside else {
            panic!("the key is new");
        };
        // Events of others count as progress everywhere; writes outside only where progress can be asked for.
        let expected = if has_progress(cluster) {
            cache
                .list(&Scope::All, Freshness::Consistent, until())
                .await
                .unwrap();
            outside
        } else {
            event
        };
        let mut shown = Shown::default();
        shown
            .read_until(&mut watcher, |shown| shown.revision >= expected)
            .await
            .unwrap();
        assert_eq!(shown.events, 0);
    })
    .await;
}

#[tokio::test]
async fn a_dropped_cache_ends_its_watchers() {
    on_each_server(async |_, client| {
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        let start = Start::After(cache.revision());
        let mut watcher = cache
            .watch(WatchRequest::new(Scope::All, start), until())
            .await
            .unwrap();
        let reader = tokio::spawn(async move { watcher.next().await.map(|_| ()) });
        drop(cache);
        assert_eq!(reader.await.unwrap(), Err(CacheError::Closed));
    })
    .await;
}

/// A process that takes over serves watches from before it was started.
#[tokio::test]
async fn a_new_cache_knows_the_recent_past() {
    on_each_server(async |cluster, client| {
        create(&client, "a/1", "n1;app=x;").await;
        let seen = create(&client, "a/2", "n1;app=x;").await;
        create(&client, "a/3", "n1;app=x;").await;
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        let request = WatchRequest::new(Scope::All, Start::After(seen));
        let watcher = cache.watch(request, until()).await;
        if !has_progress(cluster) {
            let error = watcher.err();
            assert!(
                matches!(error, Some(CacheError::TooOld { .. })),
                "{error:?}"
            );
            return;
        }
        let Step::Events(events) = watcher.unwrap().next().await.unwrap() else {
            panic!("an event comes first");
        };
        let keys: Vec<_> = events.iter().map(|e| e.object().key.clone()).collect();
        assert_eq!(keys, [key("a/3")]);
    })
    .await;
}

/// After a compaction nearer than the history it wanted, a new cache began in the present, and all watchers had to list.
#[tokio::test]
async fn a_new_cache_knew_nothing_when_the_history_was_short() {
    on_each_server(async |cluster, client| {
        if !has_progress(cluster) {
            return;
        }
        create(&client, "a/1", "n1;app=x;").await;
        let seen = create(&client, "a/2", "n1;app=x;").await;
        create(&client, "a/3", "n1;app=x;").await;
        client.compact(seen).await.unwrap();
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        let request = WatchRequest::new(Scope::All, Start::After(seen));
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let Step::Events(events) = watcher.next().await.unwrap() else {
            panic!("an event comes first");
        };
        let keys: Vec<_> = events.iter().map(|e| e.object().key.clone()).collect();
        assert_eq!(keys, [key("a/3")]);
    })
    .await;
}

#[tokio::test]
async fn what_the_cache_has_forgotten_is_read_from_the_store() {
    on_each_server(async |_, client| {
        let first = create(&client, "a/1", "n1;app=x;").await;
        for index in 0..5 {
            create(&client, &format!("b/{index}"), "n1;app=x;").await;
        }
        let cache = cache(&client);
        let scope = Scope::namespace("b");
        let page = cache
            .page_from_store(&scope, None, 2, first + 3)
            .await
            .unwrap();
        assert_eq!((page.objects.len(), page.remaining), (2, 1));
        assert_eq!(page.revision, first + 3);
        let page = cache
            .page_from_store(&scope, page.last, 2, first + 3)
            .await
            .unwrap();
        assert_eq!((page.objects.len(), page.remaining), (1, 0));
    })
    .await;
}
