//! TLS from etcd's flags: server and client configurations, re-read when their files change.
//!
//! A configuration is rebuilt at the first handshake after a file's modification time or size has changed. If the new
//! files cannot be used, the last good ones stay in force and the failure is logged.

use crate::os::PeerTls;
use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};

/// Where Go looks for the system's certificate authorities on the distributions it knows.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files and options of one side (`--cert-file`… or `--peer-cert-file`…).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain the server shows.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Chain and key shown when acting as a client; the server's if empty.
    pub client_cert: PathBuf,
    /// See `client_cert`.
    pub client_key: PathBuf,
    /// Authorities for the other side's certificates.
    pub trusted_ca: PathBuf,
    /// Revoked certificates.
    pub crl: PathBuf,
    /// Clients must show a certificate.
    pub client_cert_auth: bool,
    /// Oldest and newest protocol, as in the flags.
    pub min_version: String,
    /// See `min_version`; empty means the newest.
    pub max_version: String,
}

/// Why a TLS configuration cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds nothing usable.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// The parts do not fit together.
    #[error("{0}")]
    Config(String),
}

impl TlsFiles {
    /// Whether any file is given at all.
    pub fn is_empty(&self) -> bool {
        self.cert.as_os_str().is_empty() && self.key.as_os_str().is_empty()
    }

    fn watched(&self) -> [&Path; 6] {
        [
            &self.cert,
            &self.key,
            &self.client_cert,
            &self.client_key,
            &self.trusted_ca,
            &self.crl,
        ]
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let number = |text: &str| match text {
            "TLS1.2" => Ok(2),
            "TLS1.3" => Ok(3),
            other => Err(TlsError::Config(format!(
                "unexpected TLS version {other:?}"
            ))),
        };
        let min = if self.min_version.is_empty() {
            2
        } else {
            number(&self.min_version)?
        };
        let max = if self.max_version.is_empty() {
            3
        } else {
            number(&self.max_version)?
        };
        let all = [(2, &version::TLS12), (3, &version::TLS13)];
        let allowed: Vec<_> = all
            .iter()
            .filter(|(n, _)| (min..=max).contains(n))
            .map(|(_, v)| *v)
            .collect();
        if allowed.is_empty() {
            let (min, max) = (&self.min_version, &self.max_version);
            return Err(TlsError::Config(format!(
                "min version ({min}) is greater than max version ({max})"
            )));
        }
        Ok(allowed)
    }

    /// Builds the server side; `alpn` in order of preference.
    pub(crate) fn server(&self, alpn: &[&[u8]]) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions()?)
            .map_err(config)?;
        // etcd verifies clients when told to, or as soon as an authority is named.
        let builder = if self.client_cert_auth || has(&self.trusted_ca) {
            let roots = Arc::new(self.roots()?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if has(&self.crl) {
                verifier = verifier
                    .with_crls(revocations(&self.crl)?)
                    .only_check_end_entity_revocation()
                    .allow_unknown_revocation_status();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(config)?)
        } else {
            builder.with_no_client_auth()
        };
        let mut server = builder
            .with_single_cert(chain(&self.cert)?, key(&self.key)?)
            .map_err(|e| file(&self.cert, e))?;
        server.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Ok(server)
    }

    /// Builds the client side, which shows its own certificate if it has one.
    pub(crate) fn client(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions()?)
            .map_err(config)?
            .with_root_certificates(self.roots()?);
        let (cert, key_file) = if has(&self.client_cert) {
            (&self.client_cert, &self.client_key)
        } else {
            (&self.cert, &self.key)
        };
        if !has(cert) {
            return Ok(builder.with_no_client_auth());
        }
        builder
            .with_client_auth_cert(chain(cert)?, key(key_file)?)
            .map_err(|e| file(cert, e))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let path = if has(&self.trusted_ca) {
            self.trusted_ca.as_path()
        } else {
            let system = SYSTEM_ROOTS
                .iter()
                .map(Path::new)
                .find(|path| path.exists());
            system.ok_or_else(|| {
                TlsError::Config("no trusted CA file is given and the system has none".to_owned())
            })?
        };
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(chain(path)?);
        if added == 0 {
            return Err(file(path, "no usable CA certificate"));
        }
        Ok(roots)
    }

    fn stamp(&self) -> Stamp {
        self.watched().map(|path| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
    }
}

type Stamp = [Option<(SystemTime, u64)>; 6];

fn has(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn file(path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn config(error: impl ToString) -> TlsError {
    TlsError::Config(error.to_string())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certs = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| file(path, e))?;
    if certs.is_empty() {
        return Err(file(path, "holds no certificate"));
    }
    Ok(certs)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| file(path, e))
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .unwrap_or_default();
    if !lists.is_empty() {
        return Ok(lists);
    }
    // etcd documents DER here.
    let der = fs::read(path).map_err(|e| file(path, e))?;
    Ok(vec![der.into()])
}

/// A configuration with the state of the files it was built from.
struct Reloaded<T> {
    files: TlsFiles,
    build: fn(&TlsFiles) -> Result<T, TlsError>,
    state: Mutex<(Stamp, Arc<T>)>,
}

impl<T> Reloaded<T> {
    fn new(
        files: &TlsFiles,
        build: fn(&TlsFiles) -> Result<T, TlsError>,
    ) -> Result<Self, TlsError> {
        let stamp = files.stamp();
        let built = Arc::new(build(files)?);
        Ok(Self {
            files: files.clone(),
            build,
            state: Mutex::new((stamp, built)),
        })
    }

    fn current(&self) -> Arc<T> {
        let stamp = self.files.stamp();
        let mut state = self.state.lock();
        if state.0 != stamp {
            match (self.build)(&self.files) {
                Ok(built) => state.1 = Arc::new(built),
                Err(error) => {
                    tracing::warn!(%error, "cannot reload certificates; keeping the previous ones");
                }
            }
            state.0 = stamp;
        }
        Arc::clone(&state.1)
    }
}

/// The client port's TLS.
pub(crate) struct ServerTls(Reloaded<ServerConfig>);

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.files).finish()
    }
}

impl ServerTls {
    pub(crate) fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        Reloaded::new(files, |files| files.server(&[b"h2", b"http/1.1"])).map(Self)
    }

    /// For the next handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.current()
    }
}

/// TLS between peers.
pub(crate) fn peer(files: &TlsFiles) -> Result<PeerTls, TlsError> {
    let server = Reloaded::new(files, |files| files.server(&[]))?;
    let client = Reloaded::new(files, TlsFiles::client)?;
    Ok(PeerTls {
        server: Arc::new(move || server.current()),
        client: Arc::new(move || client.current()),
    })
}

#[cfg(test)]
mod tests;
