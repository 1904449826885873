//! Progress of watches, on request and on a timer.

use crate::one;
use crate::watches::{from, on};
use mainstay_proto::etcdserverpb as pb;
use mainstay_tests::raw::Watches;
use mainstay_tests::{Cluster, Options};
use std::time::Duration;
use tokio::time::timeout;

/// Asks for progress until it is told: a request that finds a watch behind is ignored, and clients ask again.
async fn progress(stream: &mut Watches) -> pb::WatchResponse {
    for _ in 0..100 {
        stream.progress().await;
        if let Ok(response) = timeout(Duration::from_millis(200), stream.next_or_end()).await {
            return response.unwrap();
        }
    }
    panic!("progress is never told");
}

#[tokio::test]
async fn progress_is_told_on_request() {
    let (_cluster, raw) = one().await;
    let mut stream = raw.watch_stream();
    stream.created(on("k")).await;
    raw.set("other", "v").await.unwrap();
    let progress = progress(&mut stream).await;
    assert!(progress.events.is_empty() && !progress.created && !progress.canceled);
    assert_eq!(progress.watch_id, -1);
    assert_eq!(
        progress.header.unwrap().revision,
        2,
        "works for a watch that never saw an event"
    );
}

#[tokio::test]
async fn progress_is_never_told_ahead_of_events() {
    let (cluster, raw) = one().await;
    let strict = cluster.server().at_least(3, 6);
    let mut stream = raw.watch_stream();
    stream.created(on("k")).await;
    for round in 0..50 {
        let revision = raw.set("k", round.to_string()).await.unwrap();
        stream.progress().await;
        let (mut event, mut told) = (false, false);
        while !(event && told) {
            let wait = timeout(Duration::from_millis(200), stream.next_or_end()).await;
            let Ok(response) = wait else {
                stream.progress().await;
                continue;
            };
            let response = response.unwrap();
            if let Some(first) = response.events.first() {
                assert_eq!(first.kv.as_ref().unwrap().mod_revision, revision);
                event = true;
            } else if response.header.unwrap().revision >= revision {
                assert_eq!(response.watch_id, -1);
                assert!(event || !strict, "progress to {revision} before its event");
                told = true;
            }
        }
    }
}

#[tokio::test]
async fn progress_is_not_told_while_a_watch_waits_for_the_future() {
    let (cluster, raw) = one().await;
    if !cluster.server().at_least(3, 6) {
        println!("skipped: etcd 3.4 answers regardless of the watches");
        return;
    }
    let mut stream = raw.watch_stream();
    stream.progress().await; // no watch on the stream: silently nothing
    stream.created(on("k")).await;
    let waiting = stream.created(from(100, on("k"))).await.watch_id;
    stream.progress().await;
    raw.set("k", "v").await.unwrap();
    let first = stream.next().await.unwrap();
    assert_eq!(
        first.events.len(),
        1,
        "the request before it was not answered: {first:?}"
    );
    stream.cancel(waiting).await;
    assert!(stream.next().await.unwrap().canceled);
    assert_eq!(progress(&mut stream).await.watch_id, -1);
}

#[tokio::test]
async fn progress_is_told_on_a_timer_to_those_who_asked() {
    let server = Options::default().server;
    let flag = if server.at_least(3, 6) {
        "--watch-progress-notify-interval=200ms"
    } else {
        "--experimental-watch-progress-notify-interval=200ms"
    };
    let cluster = Cluster::start_with(1, Options::default().flag(flag)).await;
    let raw = cluster.raw(0);
    let mut stream = raw.watch_stream();
    stream.created(on("k")).await;
    let request = pb::WatchCreateRequest {
        progress_notify: true,
        ..on("k")
    };
    let id = stream.created(request).await.watch_id;
    for _ in 0..3 {
        let progress = stream.next().await.unwrap();
        assert_eq!((progress.watch_id, progress.events.len()), (id, 0));
    }
    let revision = raw.set("other", "v").await.unwrap();
    loop {
        let progress = stream.next().await.unwrap();
        assert_eq!((progress.watch_id, progress.events.len()), (id, 0));
        if progress.header.unwrap().revision == revision {
            break;
        }
    }
}
