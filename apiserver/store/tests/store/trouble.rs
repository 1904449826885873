//! The cache while the store fails.

use crate::support::{Shown, cache, client, key, on_each_server, servers, start, until};
use mainstay_apistore::client::Created;
use mainstay_apistore::{CacheError, Freshness, Scope, Start, WatchRequest};
use mainstay_tests::wait_until;

#[tokio::test]
async fn watchers_live_through_a_restart_of_the_store() {
    on_each_server(async |cluster, client| {
        let cache = cache(&client);
        let request = WatchRequest::new(Scope::All, Start::Initial);
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let (mut shown, mut known) = (Shown::default(), 0);
        for round in 0..3 {
            for index in 0..10 {
                let name = key(&format!("{round}/{index}"));
                client.create(name, "n1;app=x;".into(), 0).await.unwrap();
            }
            cluster.kill(0);
            // What is known is served meanwhile.
            let list = cache.list(&Scope::All, Freshness::Any, until()).await;
            let now = list.unwrap().len();
            assert!(now >= known);
            known = now;
            cluster.start_member(0).await;
            wait_until("the client is back", crate::support::SOON, async || {
                client.current_revision().await.ok()
            })
            .await;
        }
        let all = shown.read_until(&mut watcher, |shown| shown.objects.len() == 30);
        all.await.unwrap();
        let listed = cache
            .list(&Scope::All, Freshness::Consistent, until())
            .await
            .unwrap();
        assert_eq!(listed.len(), 30);
        let stats = cache.stats();
        assert_eq!((stats.lists, shown.events), (1, 30), "{stats:?}");
        assert!(stats.losses > 0);
    })
    .await;
}

/// The store compacts what a cache cut off from it still needs: it lists anew, and its watchers are told to.
#[tokio::test]
async fn a_compaction_during_an_absence_ends_the_watchers() {
    on_each_server(async |cluster, client| {
        let far = crate::support::Detour::to(cluster.endpoint(0)).await;
        let cache = cache(&far.client());
        let request = WatchRequest::new(Scope::All, Start::Initial);
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let mut shown = Shown::default();
        client
            .create(key("a/1"), "n1;app=x;".into(), 0)
            .await
            .unwrap();
        shown
            .read_until(&mut watcher, |shown| shown.objects.len() == 1)
            .await
            .unwrap();
        far.cut();
        let mut last = 0;
        for index in 2..20 {
            let name = key(&format!("a/{index}"));
            let created = client.create(name, "n1;app=x;".into(), 0).await.unwrap();
            let Created::Done(revision) = created else {
                panic!("the key is new");
            };
            last = revision;
        }
        client.compact(last).await.unwrap();
        far.mend();
        let end = shown.read_until(&mut watcher, |_| false).await;
        assert!(matches!(end, Err(CacheError::TooOld { .. })), "{end:?}");
        let view = cache
            .list(&Scope::All, Freshness::Consistent, until())
            .await
            .unwrap();
        assert_eq!((view.len(), cache.stats().lists), (19, 2));
    })
    .await;
}

#[tokio::test]
async fn three_members_and_one_dies() {
    for server in servers() {
        let mut cluster = start(server, 3).await;
        let client = client(&cluster);
        let cache = cache(&client);
        let request = WatchRequest::new(Scope::All, Start::Initial);
        let mut watcher = cache.watch(request, until()).await.unwrap();
        let mut shown = Shown::default();
        for victim in 0..2 {
            for index in 0..5 {
                let name = key(&format!("{victim}/{index}"));
                wait_until("a write succeeds", crate::support::SOON, async || {
                    client
                        .create(name.clone(), "n1;app=x;".into(), 0)
                        .await
                        .ok()
                })
                .await;
            }
            cluster.kill(victim);
            wait_until("a consistent list", crate::support::SOON, async || {
                let list = cache
                    .list(&Scope::All, Freshness::Consistent, until())
                    .await;
                list.ok().filter(|view| view.len() == (victim + 1) * 5)
            })
            .await;
            cluster.start_member(victim).await;
        }
        let all = shown.read_until(&mut watcher, |shown| shown.objects.len() == 10);
        all.await.unwrap();
        assert_eq!(shown.events, 10);
        assert_eq!(cache.stats().lists, 1);
    }
}
