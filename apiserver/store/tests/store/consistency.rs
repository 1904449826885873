//! Consistent reads from the cache.

use crate::support::{SOON, cache, key, on_each_server, until};
use mainstay_apistore::{CacheError, Freshness, Scope, Start, Step, WatchRequest, Watcher};
use tokio::time::timeout;

#[tokio::test]
async fn a_read_sees_every_write_before_it() {
    on_each_server(async |_, client| {
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        for index in 0..100 {
            let name = key(&format!("a/{index:03}"));
            client
                .create(name.clone(), "n1;app=x;".into(), 0)
                .await
                .unwrap();
            // Moves the store's revision without an event for this cache.
            let outside = format!("/elsewhere/{index}");
            client.create(outside.into(), "v".into(), 0).await.unwrap();
            let scope = Scope::namespace("a");
            let view = cache.list(&scope, Freshness::Consistent, until()).await;
            let view = view.unwrap();
            assert_eq!(view.len(), index + 1);
            assert!(view.get(&name).is_some());
            if index % 3 == 0 {
                let revision = view.get(&name).map_or(0, |object| object.revision);
                client.delete(name.clone(), revision).await.unwrap();
                let view = cache.list(&Scope::All, Freshness::Consistent, until());
                assert!(view.await.unwrap().get(&name).is_none());
                client.create(name, "n1;app=x;".into(), 0).await.unwrap();
            }
        }
        assert_eq!(cache.stats().direct_lists, 0, "{:?}", cache.stats());
    })
    .await;
}

#[tokio::test]
async fn concurrent_readers_share_rounds() {
    on_each_server(async |_, client| {
        let cache = std::sync::Arc::new(cache(&client));
        cache.ready(until()).await.unwrap();
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let cache = cache.clone();
            readers.spawn(async move {
                let view = cache.list(&Scope::All, Freshness::Consistent, until());
                view.await.unwrap().len()
            });
        }
        assert_eq!(readers.join_all().await, [0; 200]);
        let stats = cache.stats();
        assert_eq!(stats.consistent_reads, 200);
        assert!(stats.rounds <= 20, "{stats:?}");
    })
    .await;
}

#[tokio::test]
async fn a_revision_of_elsewhere_is_reached_without_an_event() {
    on_each_server(async |_, client| {
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        client
            .create("/elsewhere".into(), "v".into(), 0)
            .await
            .unwrap();
        let revision = client.current_revision().await.unwrap();
        let view = cache.list(&Scope::All, Freshness::NotOlderThan(revision), until());
        assert!(view.await.unwrap().revision() >= revision);
    })
    .await;
}

/// The second page of a list whose first page was newer than anything this cache was told of.
#[tokio::test]
async fn a_later_page_of_a_revision_the_cache_was_not_told_of_never_came() {
    on_each_server(async |_, client| {
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        let name = key("a/1");
        let value = "n1;app=x;".into();
        client.create(name.clone(), value, 0).await.unwrap();
        let outside = "/elsewhere".into();
        client.create(outside, "v".into(), 0).await.unwrap();
        let first = cache.list(&Scope::All, Freshness::Consistent, until());
        let revision = first.await.unwrap().revision();
        let exact = cache.list(&Scope::All, Freshness::Exact(revision), until());
        match exact.await {
            Ok(view) => assert!(view.get(&name).is_some()),
            Err(CacheError::StoreOnly(at)) => {
                assert_eq!(at, revision);
                let page = cache.page_from_store(&Scope::All, None, 10, revision);
                assert_eq!(page.await.unwrap().objects.len(), 1);
            }
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}

async fn step(watcher: &mut Watcher) -> Step {
    let step = timeout(SOON, watcher.next()).await;
    step.expect("something comes").expect("the watch goes on")
}

#[tokio::test]
async fn a_watch_began_with_a_state_older_than_what_was_known_before_it() {
    on_each_server(async |_, client| {
        client
            .create(key("a/1"), "n1;app=x;".into(), 0)
            .await
            .unwrap();
        let cache = cache(&client);
        cache.ready(until()).await.unwrap();
        for round in 0..20 {
            // Without ordered progress, no cache learns of this: the store's current state is captured instead.
            let outside = format!("/elsewhere/{round}");
            client.create(outside.into(), "v".into(), 0).await.unwrap();
            let revision = client.current_revision().await.unwrap();
            let freshness = match round % 2 {
                0 => Freshness::Consistent,
                _ => Freshness::NotOlderThan(revision),
            };
            let request = WatchRequest::new(Scope::namespace("a"), Start::InitialAsOf(freshness));
            let mut watcher = cache.watch(request, until()).await.unwrap();
            let Step::Events(first) = step(&mut watcher).await else {
                panic!("the object there is comes first");
            };
            assert_eq!(first.len(), 1 + round);
            match step(&mut watcher).await {
                Step::InitialEnd(at) => assert!(at >= revision, "{at}, not {revision}"),
                other => panic!("{other:?} instead of the end of the state"),
            }
            // What follows comes once.
            let name = key(&format!("a/more-{round:02}"));
            client.create(name, "n1;app=x;".into(), 0).await.unwrap();
            let Step::Events(next) = step(&mut watcher).await else {
                panic!("the new object comes next");
            };
            assert_eq!(next.len(), 1);
        }
    })
    .await;
}
