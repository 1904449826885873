//! A connection to one apiserver: HTTP/2 over TLS with the administrator's certificate, and nothing that would try
//! again.
//!
//! HTTP/2 because it says which requests a server that ends has not worked on.

use crate::limits::{API_ANSWER_BYTES_MAX, API_CONNECT_DEADLINE};
use anyhow::{Context, Result};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How clients show who they are.
#[derive(Clone)]
pub(super) struct Identity(TlsConnector);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Reads the administrator's certificate out of the kubeconfig that an apiserver made.
    pub(super) fn read(kubeconfig: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(kubeconfig)
            .with_context(|| format!("reading {}", kubeconfig.display()))?;
        let pem = |name: &str| -> Result<Vec<u8>> {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "))
                .with_context(|| format!("the kubeconfig has no {name}"))?;
            base64::engine::general_purpose::STANDARD
                .decode(line)
                .with_context(|| format!("{name} is not base64"))
        };
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&pem("certificate-authority-data")?) {
            roots.add(root.context("the authority's certificate")?)?;
        }
        let chain = CertificateDer::pem_slice_iter(&pem("client-certificate-data")?)
            .collect::<Result<Vec<_>, _>>()
            .context("the administrator's certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&pem("client-key-data")?)
            .context("the administrator's key")?;
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) text: String,
    /// Certainly the server has not worked on it, and never will.
    pub(super) unsent: bool,
}

impl Trouble {
    pub(super) fn unsent(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            unsent: true,
        }
    }

    fn lost(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            unsent: false,
        }
    }
}

type Sender = http2::SendRequest<Full<Bytes>>;

/// A connection, closed when dropped.
#[derive(Debug)]
pub(super) struct Conn {
    sender: Sender,
    /// Unique in the run.
    pub(super) id: u64,
    task: JoinHandle<()>,
}

impl Conn {
    pub(super) async fn open(
        address: SocketAddr,
        identity: &Identity,
        id: u64,
    ) -> Result<Self, Trouble> {
        let opening = async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|e| Trouble::unsent(format!("connect: {}", e.kind())))?;
            // Small requests must not wait for each other.
            let _ = stream.set_nodelay(true);
            let name = ServerName::try_from("localhost").expect("a valid name");
            let stream = identity
                .0
                .connect(name, stream)
                .await
                .map_err(|e| Trouble::unsent(format!("TLS: {}", e.kind())))?;
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|e| Trouble::unsent(format!("HTTP/2: {e}")))
        };
        let (sender, connection) = timeout(API_CONNECT_DEADLINE, opening)
            .await
            .map_err(|_| Trouble::unsent("connect: no answer"))??;
        // How a connection ends shows in its requests.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, id, task })
    }

    /// Whether it is of no use any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn begin(
        &mut self,
        request: http::Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<http::Response<Incoming>, Trouble> {
        match timeout(deadline, self.sender.try_send_request(request)).await {
            Err(_) => Err(Trouble::lost("no answer within the deadline")),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().is_some() || not_processed(failed.error());
                let text = describe(failed.error());
                Err(Trouble { text, unsent })
            }
        }
    }

    /// The same, with the whole answer.
    pub(super) async fn call(
        &mut self,
        request: http::Request<Full<Bytes>>,
        deadline: Duration,
    ) -> Result<(u16, Bytes), Trouble> {
        let answer = self.begin(request, deadline).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), API_ANSWER_BYTES_MAX);
        match timeout(deadline, body.collect()).await {
            Err(_) => Err(Trouble::lost("half an answer within the deadline")),
            Ok(Err(e)) => Err(Trouble::lost(format!("half an answer: {e}"))),
            Ok(Ok(body)) => Ok((status, body.to_bytes())),
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server that ends names the last stream it works on; later ones it has never seen (RFC 9113, 6.8). So it does when
/// it refuses a stream (8.7).
fn not_processed(error: &hyper::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let reason = cause.reason();
        cause.is_remote()
            && (cause.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
                || cause.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
    })
}

fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
