//! HTTP/1.1 over TLS, one connection after the other, with a token.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// For one exchange; a watch that is asked for less ends by itself before.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one server.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
    port: u16,
    token: String,
}

/// What is sent.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// As `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names and values; `Authorization` is added unless it is there.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: http::HeaderMap,
    /// The body; what arrived until the deadline.
    pub body: Bytes,
}

impl Client {
    /// One that trusts the authority in a file.
    pub fn new(ca: &Path, port: u16, token: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).expect("the authority's file") {
            roots
                .add(certificate.expect("a certificate"))
                .expect("a root");
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            port,
            token: token.to_owned(),
        }
    }

    /// The answer, or why there is none.
    pub async fn send(&self, request: &Request) -> Result<Response, String> {
        timeout(PATIENCE, self.exchange(request))
            .await
            .map_err(|_| "no answer in time".to_owned())?
    }

    /// A GET with one header.
    pub async fn get(&self, path: &str, accept: &str) -> Result<Response, String> {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![("Accept".to_owned(), accept.to_owned())],
            body: String::new(),
        };
        self.send(&request).await
    }

    async fn exchange(&self, request: &Request) -> Result<Response, String> {
        let wrong = |e: &dyn std::fmt::Display| e.to_string();
        let stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .map_err(|e| wrong(&e))?;
        let name = "127.0.0.1".try_into().expect("an address is a name");
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(|e| wrong(&e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| wrong(&e))?;
        let driver = tokio::spawn(connection);
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(&request.path)
            .header("Host", format!("127.0.0.1:{}", self.port));
        let named = |name: &str| {
            let mut headers = request.headers.iter();
            headers.any(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        if !named("authorization") {
            builder = builder.header("Authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in request
            .headers
            .iter()
            .filter(|(_, value)| !value.is_empty())
        {
            builder = builder.header(name, value);
        }
        let body = Full::new(Bytes::from(request.body.clone()));
        let request = builder.body(body).map_err(|e| wrong(&e))?;
        let response = sender.send_request(request).await.map_err(|e| wrong(&e))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|e| wrong(&e))?.to_bytes();
        driver.abort();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
