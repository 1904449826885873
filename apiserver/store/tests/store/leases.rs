//! Objects with a time to live.

use crate::support::{SOON, key, next_item, on_each_server};
use mainstay_apistore::client::{Created, WatchConfig};
use mainstay_apistore::{Failure, LeasePool, WatchItem};
use std::time::Duration;

#[tokio::test]
async fn objects_share_a_lease_and_end_together() {
    on_each_server(async |_, client| {
        let pool = LeasePool::new(client.clone());
        let hour = Duration::from_secs(3600);
        let (one, two) = tokio::join!(pool.lease(hour), pool.lease(hour));
        let lease = one.unwrap();
        assert_eq!(two.unwrap(), lease, "concurrent objects share");
        let other = pool.lease(Duration::from_secs(600)).await.unwrap();
        assert_ne!(other, lease, "another time to live is another lease");
        let mut after = 0;
        for name in ["a", "b"] {
            let created = client.create(key(name), "event".into(), lease).await;
            let Created::Done(revision) = created.unwrap() else {
                panic!("the key is new");
            };
            after = revision;
        }
        let mut watch = client.watch(WatchConfig {
            prefix: key(""),
            after,
            previous: true,
        });
        client.revoke_lease(lease).await.unwrap();
        let item = next_item(&mut watch).await;
        let WatchItem::Events(events) = item else {
            panic!("{item:?}");
        };
        assert_eq!(events.len(), 2, "one revision, both keys: {events:?}");
        assert!(
            events
                .iter()
                .all(|e| e.value.is_none() && e.previous.is_some())
        );

        let refused = client.create(key("c"), "event".into(), lease).await;
        assert_eq!(refused, Err(Failure::LeaseNotFound));
        pool.forget(lease).await;
        assert_ne!(pool.lease(hour).await.unwrap(), lease);
    })
    .await;
}

#[tokio::test]
async fn a_lease_ends_by_itself() {
    on_each_server(async |_, client| {
        let pool = LeasePool::new(client.clone());
        let lease = pool.lease(Duration::from_secs(1)).await.unwrap();
        client
            .create(key("short"), "event".into(), lease)
            .await
            .unwrap();
        let mut watch = client.watch(WatchConfig {
            prefix: key(""),
            after: client.current_revision().await.unwrap(),
            previous: false,
        });
        let item = tokio::time::timeout(SOON, next_item(&mut watch)).await;
        let item = item.expect("the object ends");
        assert!(
            matches!(&item, WatchItem::Events(e) if e[0].value.is_none()),
            "{item:?}"
        );
    })
    .await;
}
