//! Whether an apiserver says that it is ready.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::limits::{HEAD_BYTES_MAX, PROBE_PATIENCE};

/// Asks servers that have a certificate of one authority.
#[derive(Clone)]
pub(crate) struct Probe {
    connector: TlsConnector,
}

impl Probe {
    pub(crate) fn new(ca: &Path) -> Result<Self> {
        let pem = std::fs::read(ca).with_context(|| ca.display().to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.with_context(|| ca.display().to_string())?;
            roots.add(certificate)?;
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Nothing but a timely 200 is good.
    pub(super) async fn ready(&self, address: SocketAddr) -> Result<()> {
        self.ready_as(address, address.ip()).await
    }

    /// The same with a certificate that is good for another address of the server's.
    pub(crate) async fn ready_as(&self, address: SocketAddr, name: IpAddr) -> Result<()> {
        let asked = timeout(PROBE_PATIENCE, self.ask(address, name)).await;
        asked.context("no answer in time")?
    }

    async fn ask(&self, address: SocketAddr, name: IpAddr) -> Result<()> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::IpAddress(name.into());
        let mut stream = self.connector.connect(name, stream).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: kubernetes\r\nConnection: close\r\n\r\n")
            .await?;
        let mut head = Vec::new();
        while !head.contains(&b'\n') && head.len() < HEAD_BYTES_MAX {
            if stream.read_buf(&mut head).await? == 0 {
                bail!("the connection ended before an answer");
            }
        }
        let line = String::from_utf8_lossy(&head);
        let line = line.lines().next().unwrap_or_default();
        match line.split(' ').nth(1) {
            Some("200") => Ok(()),
            _ => bail!("it answers {line}"),
        }
    }
}
