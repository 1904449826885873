//! Every call of the etcd-client crate that the protocol's KV, Watch, Lease, Cluster and Maintenance services answer.

use etcd_client::{
    AlarmAction, AlarmType, Client, CompactionOptions, Compare, CompareOp, ConnectOptions,
    DeleteOptions, EventType, GetOptions, LeaseGrantOptions, LeaseTimeToLiveOptions,
    MemberAddOptions, PutOptions, SortOrder, SortTarget, TlsOptions, Txn, TxnOp, TxnOpResponse,
    WatchFilterType, WatchOptions,
};
use mainstay_tests::limits::{CONVERGE_DEADLINE, HEALTH_INTERVAL, MESSAGE_DEADLINE};
use mainstay_tests::{Cluster, Options, wait_until};
use std::time::Duration;
use tokio::time::timeout;

async fn connected(size: usize) -> (Cluster, Client) {
    let cluster = Cluster::start(size).await;
    let options = ConnectOptions::new()
        .with_require_leader(true)
        .with_timeout(MESSAGE_DEADLINE);
    let client = Client::connect(cluster.endpoints(), Some(options))
        .await
        .unwrap();
    (cluster, client)
}

#[tokio::test]
async fn kv() {
    let (_cluster, mut client) = connected(3).await;
    let put = client.put("k", "1", None).await.unwrap();
    assert_eq!(
        (put.header().unwrap().revision(), put.prev_key().is_none()),
        (2, true)
    );
    let options = PutOptions::new().with_prev_key();
    let put = client.put("k", "2", Some(options)).await.unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"1");
    client.put("l", "3", None).await.unwrap();

    let got = client.get("k", None).await.unwrap();
    assert_eq!(
        (got.count(), got.more(), got.kvs()[0].value()),
        (1, false, &b"2"[..])
    );
    let options = GetOptions::new()
        .with_all_keys()
        .with_sort(SortTarget::Mod, SortOrder::Descend)
        .with_limit(1);
    let got = client.get("", Some(options)).await.unwrap();
    assert_eq!(
        (got.count(), got.more(), got.kvs()[0].key()),
        (2, true, &b"l"[..])
    );
    let options = GetOptions::new().with_revision(2).with_serializable();
    assert_eq!(
        client.get("k", Some(options)).await.unwrap().kvs()[0].value(),
        b"1"
    );
    let options = GetOptions::new().with_from_key().with_keys_only();
    assert_eq!(
        client.get("k", Some(options)).await.unwrap().kvs()[1].value(),
        b""
    );
    let options = GetOptions::new().with_range("l").with_count_only();
    assert_eq!(client.get("k", Some(options)).await.unwrap().count(), 1);
    let options = GetOptions::new().with_all_keys().with_min_mod_revision(4);
    assert_eq!(client.get("", Some(options)).await.unwrap().kvs().len(), 1);

    let options = DeleteOptions::new().with_prefix().with_prev_key();
    let deleted = client.delete("k", Some(options)).await.unwrap();
    assert_eq!(
        (deleted.deleted(), deleted.prev_kvs()[0].value()),
        (1, &b"2"[..])
    );

    let txn = Txn::new()
        .when([
            Compare::version("k", CompareOp::Equal, 0),
            Compare::value("l", CompareOp::Equal, "3"),
        ])
        .and_then([
            TxnOp::put("k", "new", None),
            TxnOp::get("k", None),
            TxnOp::delete("l", None),
            TxnOp::txn(Txn::new().and_then([TxnOp::put("m", "nested", None)])),
        ])
        .or_else([TxnOp::get("l", None)]);
    let first = client.txn(txn.clone()).await.unwrap();
    assert!(first.succeeded());
    let responses = first.op_responses();
    assert_eq!(responses.len(), 4);
    assert!(matches!(&responses[1], TxnOpResponse::Get(got) if got.kvs()[0].value() == b"new"));
    assert!(matches!(&responses[2], TxnOpResponse::Delete(deleted) if deleted.deleted() == 1));
    assert!(matches!(&responses[3], TxnOpResponse::Txn(nested) if nested.succeeded()));
    assert!(!client.txn(txn).await.unwrap().succeeded());

    let revision = first.header().unwrap().revision();
    let options = CompactionOptions::new().with_physical();
    client.compact(revision, Some(options)).await.unwrap();
    let options = GetOptions::new().with_revision(revision - 1);
    let refused = client
        .get("k", Some(options))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("required revision has been compacted"),
        "{refused}"
    );
}

#[tokio::test]
async fn streamed_ranges() {
    let (cluster, client) = connected(1).await;
    let mut kv = client.kv_client();
    for index in 0..300 {
        kv.put(format!("k{index:03}"), vec![b'v'; 1000], None)
            .await
            .unwrap();
    }
    let stream = kv
        .get_stream("k", Some(GetOptions::new().with_prefix()))
        .await;
    if !cluster.server().at_least(3, 7) {
        let refused = match stream {
            Err(error) => error,
            Ok(mut stream) => stream.message().await.unwrap_err(),
        };
        assert!(
            refused.to_string().contains("Unimplemented")
                || refused.to_string().contains("unknown method"),
            "{refused}"
        );
        return;
    }
    let mut stream = stream.unwrap();
    let mut keys = 0;
    while let Some(chunk) = stream.message().await.unwrap() {
        keys += chunk.kvs().len();
    }
    assert_eq!(keys, 300);
}

#[tokio::test]
async fn watch() {
    let (_cluster, mut client) = connected(3).await;
    let options = WatchOptions::new()
        .with_prefix()
        .with_prev_key()
        .with_filters([WatchFilterType::NoDelete])
        .with_watch_id(7);
    let mut stream = client.watch("w/", Some(options)).await.unwrap();
    let created = stream.message().await.unwrap().unwrap();
    assert!(created.created());
    assert_eq!(created.watch_id(), 7);
    client.put("w/a", "1", None).await.unwrap();
    client.put("w/a", "2", None).await.unwrap();
    client.delete("w/a", None).await.unwrap();
    client.put("w/b", "3", None).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let response = timeout(MESSAGE_DEADLINE, stream.message())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        for event in response.events() {
            assert_eq!(event.event_type(), EventType::Put);
            let previous = event.prev_kv().map(|kv| kv.value().to_vec());
            seen.push((event.kv().unwrap().value().to_vec(), previous));
        }
    }
    let expected = [("1", None), ("2", Some("1")), ("3", None)].map(|(now, before)| {
        (
            now.as_bytes().to_vec(),
            before.map(|text| text.as_bytes().to_vec()),
        )
    });
    assert_eq!(seen, expected);
    stream
        .watch("w/a", Some(WatchOptions::new().with_start_revision(4)))
        .await
        .unwrap();
    let second = stream.message().await.unwrap().unwrap();
    assert!(second.created());
    let past = stream.message().await.unwrap().unwrap();
    assert_eq!(
        (past.watch_id(), past.events()[0].event_type()),
        (second.watch_id(), EventType::Delete)
    );
    // A request that finds a watch behind is ignored: clients ask again.
    let progress = wait_until("progress is told", MESSAGE_DEADLINE, async || {
        stream.request_progress().await.unwrap();
        timeout(Duration::from_millis(200), stream.message())
            .await
            .ok()
    })
    .await;
    let progress = progress.unwrap().unwrap();
    assert!(progress.events().is_empty());
    stream.cancel(second.watch_id()).await.unwrap();
    let cancelled = stream.message().await.unwrap().unwrap();
    assert!(cancelled.canceled());
}

#[tokio::test]
async fn lease() {
    let (_cluster, mut client) = connected(3).await;
    let granted = client
        .lease_grant(60, Some(LeaseGrantOptions::new().with_id(11)))
        .await
        .unwrap();
    assert_eq!((granted.id(), granted.ttl()), (11, 60));
    client
        .put("k", "v", Some(PutOptions::new().with_lease(11)))
        .await
        .unwrap();
    let (mut keeper, mut stream) = client.lease_keep_alive(11).await.unwrap();
    keeper.keep_alive().await.unwrap();
    let kept = timeout(MESSAGE_DEADLINE, stream.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((kept.id(), kept.ttl()), (11, 60));
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let info = client.lease_time_to_live(11, Some(options)).await.unwrap();
    assert_eq!(
        (info.granted_ttl(), info.keys()),
        (60, &[b"k".to_vec()][..])
    );
    assert_eq!(client.leases().await.unwrap().leases()[0].id(), 11);
    client.lease_revoke(11).await.unwrap();
    assert_eq!(client.get("k", None).await.unwrap().count(), 0);
}

#[tokio::test]
async fn cluster() {
    let (cluster, mut client) = connected(1).await;
    let listed = client.member_list().await.unwrap();
    assert_eq!(listed.members().len(), 1);
    assert_eq!(listed.members()[0].peer_urls(), [cluster.peer_url(0)]);
    let options = MemberAddOptions::new().with_is_learner();
    let added = wait_until(
        "a learner is added",
        HEALTH_INTERVAL + CONVERGE_DEADLINE,
        async || {
            client
                .member_add(["http://127.0.0.1:1"], Some(options.clone()))
                .await
                .ok()
        },
    )
    .await;
    let id = added.member().unwrap().id();
    assert!(added.member().unwrap().is_learner());
    assert_eq!(added.member_list().len(), 2);
    let refused = client.member_promote(id).await.unwrap_err().to_string();
    assert!(refused.contains("in sync with leader"), "{refused}");
    let updated = client
        .member_update(id, ["http://127.0.0.1:2".to_owned()])
        .await
        .unwrap();
    let member = updated
        .members()
        .iter()
        .find(|member| member.id() == id)
        .unwrap();
    assert_eq!(member.peer_urls(), ["http://127.0.0.1:2"]);
    assert_eq!(client.member_remove(id).await.unwrap().members().len(), 1);
}

#[tokio::test]
async fn maintenance() {
    let (mut cluster, _) = connected(3).await;
    let leader = cluster.leader().await;
    let mut client = Client::connect([cluster.endpoint(leader)], None)
        .await
        .unwrap();
    client.put("k", "v", None).await.unwrap();
    let alarms = client
        .alarm(AlarmAction::Get, AlarmType::None, None)
        .await
        .unwrap();
    assert!(alarms.alarms().is_empty());
    let status = client.status().await.unwrap();
    assert_eq!(status.leader(), cluster.id(leader).await);
    assert!(status.db_size() > 0 && status.raft_index() >= status.raft_applied_index());
    assert!(!status.is_learner() && status.errors().is_empty());
    client.defragment().await.unwrap();
    client.hash().await.unwrap();
    let hash = client.hash_kv(0).await.unwrap();
    assert_eq!(hash.hash(), client.hash_kv(2).await.unwrap().hash());
    let target = (leader + 1) % 3;
    client.move_leader(cluster.id(target).await).await.unwrap();
    assert_eq!(cluster.leader().await, target);
}

#[tokio::test]
async fn mutual_tls() {
    let cluster = Cluster::start_with(1, Options::with_tls()).await;
    let identity = cluster.client_identity().unwrap();
    let (cert, key) = identity.own.as_ref().unwrap();
    let tls = TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(&identity.ca))
        .identity(etcd_client::Identity::from_pem(cert, key));
    let options = ConnectOptions::new().with_tls(tls);
    let mut client = Client::connect(cluster.endpoints(), Some(options))
        .await
        .unwrap();
    client.put("k", "v", None).await.unwrap();
    assert_eq!(client.get("k", None).await.unwrap().count(), 1);
}
