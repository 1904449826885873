//! Mutual TLS for clients and peers.

use mainstay_tests::http_get;
use mainstay_tests::limits::CONVERGE_DEADLINE;
use mainstay_tests::{Cluster, Options, Raw, wait_until};
use tokio::net::TcpStream;

#[tokio::test]
async fn only_identified_clients_are_served() {
    let cluster = Cluster::start_with(3, Options::with_tls()).await;
    for raw in cluster.raws() {
        raw.set("k", "v").await.unwrap();
    }
    let anonymous = cluster.authority().client(None);
    let raw = Raw::connect(&cluster.endpoint(0), Some(&anonymous));
    raw.get("k").await.unwrap_err();
    http_get::get(cluster.client_port(0), "/health", Some(&anonymous))
        .await
        .unwrap_err();
    let plain = Raw::connect(&cluster.endpoint(0).replace("https", "http"), None);
    plain.get("k").await.unwrap_err();

    let dir = tempfile::tempdir().unwrap();
    let stranger = mainstay_tests::tls::Authority::new(dir.path());
    let mut stranger = stranger.client(Some(&stranger.issue("stranger")));
    stranger
        .ca
        .clone_from(&cluster.client_identity().unwrap().ca);
    let raw = Raw::connect(&cluster.endpoint(0), Some(&stranger));
    raw.get("k").await.unwrap_err();
}

async fn served_certificate(cluster: &Cluster) -> Vec<u8> {
    let stream = TcpStream::connect(("127.0.0.1", cluster.client_port(0)))
        .await
        .unwrap();
    let connector = cluster.client_identity().unwrap().connector();
    let stream = connector
        .connect("127.0.0.1".try_into().unwrap(), stream)
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn replaced_certificates_are_used_without_a_restart() {
    let mut cluster = Cluster::start_with(3, Options::with_tls()).await;
    let before = served_certificate(&cluster).await;
    let raw = cluster.raw(0);
    raw.set("k", "v").await.unwrap();
    cluster.rotate_server_certificate();
    wait_until(
        "the new certificate is served",
        CONVERGE_DEADLINE,
        async || (served_certificate(&cluster).await != before).then_some(()),
    )
    .await;
    assert_eq!(
        raw.get("k").await.unwrap().count,
        1,
        "open connections stay"
    );
    // Peers meet again with the new one.
    let follower = cluster.follower().await;
    cluster.kill(follower);
    cluster.start_member(follower).await;
    cluster.raw(follower).set("k", "w").await.unwrap();
}
