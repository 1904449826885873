//! One client connection: a socket, TLS, and answers.

use std::io::{self, BufRead as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, version,
};

use super::http::{Piece, Reader};
use crate::limits::CONNECT_TIMEOUT;

/// TLS as Go's clients prefer it, the same for every server.
///
/// # Errors
/// If the cipher is not available.
pub(crate) fn tls() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..ring::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OwnServers))
        .with_no_client_auth();
    // Every connection pays for its handshake.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The servers are processes of this program on loopback: their certificates prove nothing that is in doubt.
#[derive(Debug)]
struct OwnServers;

impl ServerCertVerifier for OwnServers {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub(crate) struct Conn {
    socket: TcpStream,
    tls: ClientConnection,
    reader: Reader,
}

impl Conn {
    /// Connects; the handshake follows when the socket is read and written.
    ///
    /// # Errors
    /// If nobody listens.
    pub(crate) fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let name = ServerName::try_from("localhost").expect("a valid name");
        Ok(Self {
            socket,
            tls: ClientConnection::new(Arc::clone(tls), name)?,
            reader: Reader::new(),
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(crate) fn is_ready(&self) -> bool {
        !self.tls.is_handshaking()
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Puts a request into the queue.
    ///
    /// # Errors
    /// If more is queued than a connection may hold.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.tls.writer().write_all(request)?;
        Ok(())
    }

    /// Writes what is queued, as far as there is room.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Reads what has arrived.
    ///
    /// # Errors
    /// If the connection is lost, or what arrives is not what was agreed on.
    pub(crate) fn read(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> Result<()> {
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => anyhow::bail!("the server closed the connection"),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        }
        self.tls.process_new_packets()?;
        loop {
            let mut plain = self.tls.reader();
            let data = match plain.fill_buf() {
                Ok(data) => data,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.into()),
            };
            ensure!(!data.is_empty(), "the server ended the connection");
            self.reader.read(data, &mut *sink)?;
            let read = data.len();
            plain.consume(read);
        }
    }
}
