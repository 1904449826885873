//! The watch of a prefix, through the loss of members.

use crate::support::{client, has_progress, key, next_item, on_each_server, servers, start};
use mainstay_apistore::client::{WatchConfig, WatchEvent};
use mainstay_apistore::{Client, Watch, WatchItem};
use mainstay_tests::wait_until;

fn watch(client: &Client, after: i64) -> Watch {
    client.watch(WatchConfig {
        prefix: key(""),
        after,
        previous: true,
    })
}

async fn next_events(watch: &mut Watch) -> Vec<WatchEvent> {
    match next_item(watch).await {
        WatchItem::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_store_is_killed() {
    on_each_server(async |cluster, client| {
        let mut watch = watch(&client, 1);
        let mut written = Vec::new();
        for round in 0..3 {
            for index in 0..10 {
                let name = key(&format!("{round}/{index}"));
                client.create(name.clone(), "v".into(), 0).await.unwrap();
                written.push(name);
            }
            cluster.kill(0);
            cluster.start_member(0).await;
            wait_until("the client is back", crate::support::SOON, async || {
                client.current_revision().await.ok()
            })
            .await;
        }
        let mut seen = Vec::new();
        while seen.len() < written.len() {
            seen.extend(next_events(&mut watch).await.into_iter().map(|e| e.key));
        }
        assert_eq!(seen, written);
        assert!(watch.control().losses() > 0);
    })
    .await;
}

#[tokio::test]
async fn large_batches_arrive_in_order_with_what_was_before() {
    on_each_server(async |_, client| {
        let value = vec![b'x'; 400_000];
        let raw_key = key("a/big");
        let mut revision = 0;
        for _ in 0..12 {
            let value = bytes::Bytes::from(value.clone());
            let done = client.update(raw_key.clone(), revision, value, 0).await;
            let mainstay_apistore::Updated::Done(now) = done.unwrap() else {
                panic!("nobody else writes");
            };
            revision = now;
        }
        // About 10 MB of history at once: sent in fragments.
        let mut watch = watch(&client, 1);
        let mut events = Vec::new();
        while events.len() < 12 {
            events.extend(next_events(&mut watch).await);
        }
        for pair in events.windows(2) {
            let before = pair[1].previous.as_ref().expect("it was asked for");
            assert_eq!(before.revision, pair[0].revision);
        }
        assert_eq!(events.last().map(|e| e.revision), Some(revision));
    })
    .await;
}

#[tokio::test]
async fn a_compacted_past_is_told() {
    on_each_server(async |_, client| {
        for index in 0..10 {
            client
                .create(key(&index.to_string()), "v".into(), 0)
                .await
                .unwrap();
        }
        client.compact(8).await.unwrap();
        let mut watch = watch(&client, 3);
        assert_eq!(
            next_item(&mut watch).await,
            WatchItem::Compacted { oldest: 8 }
        );
        assert_eq!(watch.next().await, None);
    })
    .await;
}

#[tokio::test]
async fn progress_comes_when_asked_for() {
    on_each_server(async |cluster, client| {
        let mut watch = watch(&client, 1);
        let control = watch.control();
        client.create(key("a"), "v".into(), 0).await.unwrap();
        assert_eq!(next_events(&mut watch).await.len(), 1);
        let version = cluster.server().version();
        if !has_progress(cluster) {
            assert!(
                !control.request_progress(),
                "{version:?} answers out of order"
            );
            return;
        }
        let outside = client.create("/elsewhere".into(), "v".into(), 0).await;
        let mainstay_apistore::Created::Done(revision) = outside.unwrap() else {
            panic!("the key is new");
        };
        assert!(control.request_progress());
        let item = tokio::time::timeout(crate::support::SOON, watch.next()).await;
        assert_eq!(item.unwrap(), Some(WatchItem::Progress(revision)));
    })
    .await;
}

#[tokio::test]
async fn a_watch_moves_to_another_member() {
    for server in servers() {
        let mut cluster = start(server, 3).await;
        let client = client(&cluster);
        let mut watch = watch(&client, 1);
        client.create(key("first"), "v".into(), 0).await.unwrap();
        assert_eq!(next_events(&mut watch).await[0].key, key("first"));
        cluster.kill(0);
        wait_until("a write succeeds", crate::support::SOON, async || {
            let done = client.create(key("second"), "v".into(), 0).await;
            done.ok()
        })
        .await;
        let events = next_events(&mut watch).await;
        assert_eq!((events.len(), &events[0].key), (1, &key("second")));
    }
}
