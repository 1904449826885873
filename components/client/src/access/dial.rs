//! New connections for watches.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use kube::Config;
use kube::client::ConfigExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tower::{BoxError, ServiceExt as _};

use super::gate::Gate;
use super::heard::{Heard, Listening};
use crate::leader::Fence;

const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Connects under one identity.
pub(crate) struct Dialer {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// The name that servers must prove to have, in place of that in their address.
    name: Option<String>,
    fence: Option<Fence>,
    /// To connect, TLS included.
    patience: Duration,
}

/// A connection on which both ends speak HTTP/2. Nothing leaves over it while the fence is closed.
pub(crate) type Connection = Gate<Listening<TokioIo<TlsStream<TcpStream>>>>;

impl Dialer {
    pub(crate) fn new(
        config: &Config,
        tcp: HttpConnector,
        fence: Option<Fence>,
        patience: Duration,
    ) -> kube::Result<Self> {
        let mut tls = config.rustls_client_config()?;
        tls.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(Self {
            tcp,
            tls: TlsConnector::from(Arc::new(tls)),
            name: config.tls_server_name.clone(),
            fence,
            patience,
        })
    }

    /// Connects to a server; `None` if it does not speak HTTP/2.
    pub(crate) async fn dial(&self, to: &Uri) -> Result<Option<(Connection, Heard)>, BoxError> {
        timeout(self.patience, self.connect(to)).await?
    }

    async fn connect(&self, to: &Uri) -> Result<Option<(Connection, Heard)>, BoxError> {
        let host = to.host().unwrap_or_default();
        // An IPv6 address is in brackets there.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = self.name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned())?;
        let tcp = self.tcp.clone().oneshot(to.clone()).await?;
        let stream = self.tls.connect(name, tcp.into_inner()).await?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
            return Ok(None);
        }
        let heard = Heard::default();
        let listening = Listening {
            stream: TokioIo::new(stream),
            heard: heard.clone(),
        };
        Ok(Some((Gate::new(listening, self.fence.clone()), heard)))
    }
}
