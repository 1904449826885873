//! Answers that are there before the request's body was read: what becomes of the connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::start;

const PATIENCE: Duration = Duration::from_secs(15);

/// A request whose body does not end the connection by itself.
fn request(head: &str, body_bytes: usize) -> Vec<u8> {
    let head = format!(
        "{head} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + body_bytes, b'x');
    bytes
}

/// Status code, and whether the answer says that the connection ends with it. All of the answer must come.
async fn answer(stream: &mut TlsStream<TcpStream>) -> (u16, bool) {
    let mut raw = Vec::new();
    let read = async {
        loop {
            let text = String::from_utf8_lossy(&raw).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() >= length {
                    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return (code, head.contains("connection: close"));
                }
            }
            let mut more = [0; 4096];
            let count = stream.read(&mut more).await.unwrap();
            assert!(count > 0, "the connection ended in {text:?}");
            raw.extend_from_slice(&more[..count]);
        }
    };
    timeout(PATIENCE, read).await.unwrap()
}

/// The connection closed without a word, and the client's next request was lost.
#[tokio::test]
async fn a_connection_whose_body_was_not_read_stays_or_its_end_is_told() {
    let (_cluster, _server, rest) = start().await;
    let nobody = rest.without_certificate();
    let version = request("GET /version", 0);
    // Head, bytes of its body, the code, and whether that is the end of the connection.
    let config_maps = "POST /api/v1/namespaces/default/configmaps";
    let cases = [
        (&nobody, config_maps, 100_000, 403, false),
        (&nobody, config_maps, 1 << 20, 403, true),
        (&rest, "POST /nowhere", 200_000, 404, false),
        (&rest, "POST /api/v1/pods", 100, 405, false),
        // Read in part.
        (&rest, config_maps, (3 << 20) + 10_000, 413, false),
        (&rest, config_maps, 6 << 20, 413, true),
    ];
    for (who, head, bytes, code, ends) in cases {
        let mut stream = who.connect().await.unwrap();
        let whole = request(head, bytes);
        timeout(PATIENCE, stream.write_all(&whole))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer(&mut stream).await, (code, ends), "{head}, {bytes}");
        if !ends {
            stream.write_all(&version).await.unwrap();
            assert_eq!(answer(&mut stream).await, (200, false), "{head}, {bytes}");
        }
    }
}

/// Whoever waits to be asked for a body is not asked for one that nobody wants.
#[tokio::test]
async fn a_body_that_was_not_sent_is_not_waited_for() {
    let (_cluster, _server, rest) = start().await;
    let mut stream = rest.connect().await.unwrap();
    let head =
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await, (404, true));
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest));
    // Without the TLS way of saying so that is an error, and as good an end.
    let _ = end.await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}
