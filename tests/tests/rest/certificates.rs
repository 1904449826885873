//! Files of certificates that change while the server runs.

use std::time::Duration;

use mainstay_tests::apiserver::Apiserver;
use mainstay_tests::rest::Rest;
use mainstay_tests::tls::Authority;
use mainstay_tests::{Cluster, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates that change are used for new connections, and old ones go on.
#[tokio::test]
async fn changed_certificates_are_used_without_a_restart() {
    let cluster = Cluster::start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let issued = Authority::new(dir.path());
    let pair = issued.issue("server");
    let flags = [
        format!("--tls-cert-file={}", pair.cert.display()),
        format!("--tls-private-key-file={}", pair.key.display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Apiserver::start_trusted(&cluster, &flags, &issued.client(None).ca).await;
    let rest = server.rest();
    let version = async |rest: &Rest| {
        let answer = rest.try_call("GET /api/v1/namespaces/default", "").await;
        answer.ok().map(|answer| answer.status)
    };
    assert_eq!(version(&rest).await, Some(200));
    // A connection from before.
    let mut before = rest.connect().await.unwrap();
    before.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut before).await.starts_with("HTTP/1.1 200"));

    // Another authority's certificate in the same files.
    let other = tempfile::tempdir().unwrap();
    let authority = Authority::new(other.path());
    let new = authority.issue("server");
    std::fs::copy(&new.key, &pair.key).unwrap();
    std::fs::copy(&new.cert, &pair.cert).unwrap();
    let trusting_new = rest.trusting(&authority.client(None).ca);
    wait_until("the new certificate is served", PATIENCE, async || {
        (version(&trusting_new).await == Some(200)).then_some(())
    })
    .await;
    assert_eq!(version(&rest).await, None);
    before.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut before).await.starts_with("HTTP/1.1 200"));
}

/// A client's certificate holds for as long as its authority is one, on connections from before too.
#[tokio::test]
async fn clients_of_an_authority_that_is_taken_out_are_refused() {
    let cluster = Cluster::start(1).await;
    let server = Apiserver::start(&cluster, None).await;
    let rest = server.rest();
    let mut before = rest.connect().await.unwrap();
    before.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut before).await.starts_with("HTTP/1.1 200"));
    let other = tempfile::tempdir().unwrap();
    let authority = Authority::new(other.path());
    std::fs::copy(authority.path(), server.pki().join("ca.crt")).unwrap();
    wait_until("the old connection is nobody's", PATIENCE, async || {
        before.write_all(REQUEST).await.unwrap();
        let answer = read_some(&mut before).await;
        answer.starts_with("HTTP/1.1 403").then_some(())
    })
    .await;
}

const REQUEST: &[u8] = b"GET /api/v1/namespaces/default HTTP/1.1\r\nHost: a\r\n\r\n";

/// The beginning of the next answer, which comes in one piece.
async fn read_some(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = vec![0; 64 << 10];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}
