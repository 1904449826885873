//! Reads and guarded writes.

use crate::support::{SOON, client, key, on_each_server, servers};
use bytes::Bytes;
use mainstay_apistore::client::{Created, Deleted, PageRequest, Updated};
use mainstay_apistore::{Client, ClientConfig, Compactor, Consistency, Failure, Tls};
use mainstay_tests::{Cluster, Options, wait_until};
use std::time::Duration;

#[tokio::test]
async fn a_stale_write_returns_what_is_there() {
    on_each_server(async |_, client| {
        let pod = key("default/web");
        let created = client.create(pod.clone(), "one".into(), 0).await.unwrap();
        let Created::Done(first) = created else {
            panic!("{created:?}");
        };
        let again = client.create(pod.clone(), "two".into(), 0).await.unwrap();
        assert!(matches!(&again, Created::Exists(kv) if kv.value == "one" && kv.revision == first));

        let updated = client.update(pod.clone(), first, "two".into(), 0).await;
        let Updated::Done(second) = updated.unwrap() else {
            panic!("the revision was right");
        };
        assert!(second > first);
        let stale = client.update(pod.clone(), first, "three".into(), 0).await;
        let Updated::Conflict(Some(now)) = stale.unwrap() else {
            panic!("the revision was stale");
        };
        assert_eq!((&now.value[..], now.revision), (&b"two"[..], second));

        let stale = client.delete(pod.clone(), first).await.unwrap();
        assert!(matches!(stale, Deleted::Conflict(Some(kv)) if kv.revision == second));
        let Deleted::Done(third) = client.delete(pod.clone(), second).await.unwrap() else {
            panic!("the revision was right");
        };
        let gone = client.delete(pod.clone(), second).await.unwrap();
        assert_eq!(gone, Deleted::Conflict(None));
        let got = client.get(pod, Consistency::Linearizable).await.unwrap();
        assert_eq!((got.found, got.revision), (None, third));
        assert_eq!(client.current_revision().await.unwrap(), third);
    })
    .await;
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    on_each_server(async |_, client| {
        for index in 0..25 {
            let name = format!("ns/pod-{index:02}");
            client.create(key(&name), "v".into(), 0).await.unwrap();
        }
        // A neighbour that a careless end of range would include.
        let neighbour = Bytes::from("/registry/pods0");
        client.create(neighbour, "v".into(), 0).await.unwrap();
        let mut request = PageRequest {
            prefix: key(""),
            limit: 10,
            ..Default::default()
        };
        let first = client.page(&request).await.unwrap();
        assert_eq!((first.items.len(), first.remaining), (10, 15));
        client
            .create(key("ns/pod-99"), "v".into(), 0)
            .await
            .unwrap();
        request.revision = first.revision;
        request.after = first.items.last().map(|kv| kv.key.clone());
        let second = client.page(&request).await.unwrap();
        assert_eq!((second.items.len(), second.remaining), (10, 5));
        assert_eq!(second.items[0].key, key("ns/pod-10"));
        assert_eq!(client.count(&key("")).await.unwrap().0, 26);

        let mut listed = 0;
        let pods = key("");
        let at = client.list(&pods, first.revision, |page| listed += page.len());
        assert_eq!(at.await.unwrap(), first.revision);
        assert_eq!(listed, 25);

        client.compact(first.revision + 1).await.unwrap();
        assert_eq!(client.page(&request).await.unwrap_err(), Failure::Compacted);
        request.revision = 1_000_000;
        let future = client.page(&request).await.unwrap_err();
        assert_eq!(future, Failure::FutureRevision);
    })
    .await;
}

#[tokio::test]
async fn too_large_is_said_so() {
    on_each_server(async |_, client| {
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        let refused = client.create(key("a/large"), large, 0).await;
        assert_eq!(refused, Err(Failure::TooLarge));
    })
    .await;
}

#[tokio::test]
async fn a_dead_store_is_unavailable_and_a_hanging_one_leaves_writes_unknown() {
    on_each_server(async |cluster, _| {
        let config = ClientConfig {
            deadline: Duration::from_millis(800),
            ..ClientConfig::new(cluster.endpoints())
        };
        let client = Client::new(&config).unwrap();
        client.create(key("a/b"), "1".into(), 0).await.unwrap();
        cluster.pause(0);
        // The threads of the member stop one after the other.
        let failure = wait_until("the member hangs", SOON, async || {
            let read = client.get(key("a/b"), Consistency::Linearizable).await;
            read.err()
        })
        .await;
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure:?}");
        let write = client.create(key("a/c"), "1".into(), 0).await;
        assert!(
            matches!(write, Err(Failure::OutcomeUnknown(_))),
            "{write:?}"
        );
        cluster.kill(0);
        // A client that has no connection yet knows that nothing was sent.
        let client = Client::new(&config).unwrap();
        let write = client.create(key("a/d"), "1".into(), 0).await;
        assert!(matches!(write, Err(Failure::Unavailable(_))), "{write:?}");
    })
    .await;
}

#[tokio::test]
async fn mutual_tls() {
    for server in servers() {
        let options = Options {
            server,
            tls: true,
            flags: Vec::new(),
        };
        let cluster = Cluster::start_with(1, options).await;
        let identity = cluster.client_identity().expect("the cluster has TLS");
        let tls = Tls {
            authority: identity.ca.clone().into_bytes(),
            identity: identity
                .own
                .clone()
                .map(|(chain, key)| (chain.into_bytes(), key.into_bytes())),
            server_name: None,
        };
        let config = ClientConfig::new(cluster.endpoints());
        let client = Client::new(&config.clone().with_tls(tls.clone())).unwrap();
        client.create(key("a/b"), "1".into(), 0).await.unwrap();
        let health = client.health().await;
        assert!(
            health.iter().all(|member| member.state.is_ok()),
            "{health:?}"
        );

        let nobody = Tls {
            identity: None,
            ..tls
        };
        let client = Client::new(&config.with_tls(nobody)).unwrap();
        let refused = client.get(key("a/b"), Consistency::Linearizable).await;
        assert!(
            matches!(refused, Err(Failure::Unavailable(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn calls_move_on_when_a_member_dies() {
    for server in servers() {
        let mut cluster = crate::support::start(server, 3).await;
        let client = client(&cluster);
        client.create(key("a/0"), "1".into(), 0).await.unwrap();
        cluster.kill(0);
        // The first call after the loss may find the broken connection; the next must not.
        let _ = client.get(key("a/0"), Consistency::Linearizable).await;
        let mut done = 0;
        for index in 1..20 {
            match client
                .create(key(&format!("a/{index}")), "1".into(), 0)
                .await
            {
                Ok(Created::Done(_)) => done += 1,
                // While a new leader is elected.
                Err(Failure::OutcomeUnknown(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(done > 0);
        let health = client.health().await;
        let up = health.iter().filter(|member| member.state.is_ok()).count();
        assert_eq!(up, 2, "{health:?}");
    }
}

#[tokio::test]
async fn one_of_several_compactors_acts() {
    on_each_server(async |_, client| {
        let mut compactors = [
            Compactor::new(client.clone()),
            Compactor::new(client.clone()),
        ];
        for compactor in &mut compactors {
            assert_eq!(compactor.step().await, Ok(None), "only marks the time");
        }
        let mark = client.current_revision().await.unwrap();
        client.create(key("a/b"), "1".into(), 0).await.unwrap();
        let [one, other] = &mut compactors;
        assert_eq!(one.step().await, Ok(Some(mark)));
        assert_eq!(other.step().await, Ok(None), "it was done in this interval");
        let request = PageRequest {
            prefix: key(""),
            revision: mark - 1,
            ..Default::default()
        };
        assert_eq!(client.page(&request).await.unwrap_err(), Failure::Compacted);
    })
    .await;
}
