//! Watches at servers that count connections.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::pending;
use http::{Request, Response, Version};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::Config;
use kube::client::Body;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::figures::Figures;
use super::identity::Identity;
use super::servers::Servers;
use super::stream::Stream;
use super::transport::{Times, Transport, Who};
use crate::limits::WATCHES_PER_CONNECTION;
use crate::metrics::Metrics;
use crate::serve::made;

const DONE: Duration = Duration::from_secs(20);

/// Answers everything with a body that says nothing and does not end.
struct Quiet {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Quiet {
    async fn start(protocols: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port of this machine");
        let port = listener.local_addr().expect("it is bound").port();
        let tls = made("test", IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("a certificate");
        let mut config = ServerConfig::clone(tls.config());
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let tls = TlsAcceptor::from(Arc::new(config));
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, count) = (tls.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(stream, tls).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, connections }
    }

    fn transport(&self) -> Transport {
        let url = format!("https://127.0.0.1:{}", self.port);
        let url: http::Uri = url.parse().expect("it is a URL");
        let mut config = Config::new(url.clone());
        config.accept_invalid_certs = true;
        let servers = Arc::new(Servers::new(&[url]).expect("it is one of a server"));
        let figures = Figures::new(&Metrics::default());
        let times = Times {
            connect: DONE,
            head: DONE,
        };
        Transport::new(
            Arc::new(Identity::fixed(config)),
            Who::Own,
            servers,
            figures,
            times,
            None,
        )
        .expect("it makes sense")
    }

    async fn comes_to_have(&self, connections: usize) {
        let had = async {
            while self.connections.load(Ordering::SeqCst) != connections {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(DONE, had).await;
        let has = self.connections.load(Ordering::SeqCst);
        assert!(in_time.is_ok(), "{has} connections, not {connections}");
    }
}

async fn answer(stream: TcpStream, tls: TlsAcceptor) {
    let stream = tls.accept(stream).await.expect("both speak TLS");
    let service = service_fn(async |_: Request<hyper::body::Incoming>| {
        let body = StreamBody::new(pending::<Result<Frame<Bytes>, Infallible>>());
        Ok::<_, Infallible>(Response::new(body))
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // It ends when the client goes.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn get(transport: &Transport, path: &str) -> Response<Stream> {
    let request = Request::get(path).body(Body::empty());
    let answer = transport.send(request.expect("it is a request")).await;
    answer.expect("it is answered")
}

const WATCH: &str = "/api/v1/pods?watch=true";

#[tokio::test]
async fn watches_share_connections_as_far_as_they_are_to_and_take_them_away_with_them() {
    let server = Quiet::start(&["h2", "http/1.1"]).await;
    let transport = server.transport();
    let all = (0..=WATCHES_PER_CONNECTION).map(|_| get(&transport, WATCH));
    let mut watches = join_all(all).await;
    assert!(watches.iter().all(|w| w.version() == Version::HTTP_2));
    server.comes_to_have(2).await;
    let list = get(&transport, "/api/v1/pods").await;
    assert_eq!(list.version(), Version::HTTP_11);
    server.comes_to_have(3).await;
    drop(list);
    watches.pop();
    watches.push(get(&transport, WATCH).await);
    server.comes_to_have(2).await;
    drop(watches);
    server.comes_to_have(0).await;
    let again = get(&transport, WATCH).await;
    assert_eq!(again.version(), Version::HTTP_2);
}

#[tokio::test]
async fn a_server_that_knows_http_1_alone_is_watched_by_that() {
    let server = Quiet::start(&["http/1.1"]).await;
    let transport = server.transport();
    let watches = [get(&transport, WATCH).await, get(&transport, WATCH).await];
    assert!(watches.iter().all(|w| w.version() == Version::HTTP_11));
    server.comes_to_have(2).await;
}
