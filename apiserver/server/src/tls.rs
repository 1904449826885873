//! TLS towards clients, with client certificates for who has one. The files are read again when they change: new
//! connections see what is new, and requests on old ones are only taken from clients whose certificates still hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::limits::TLS_FILES_EVERY;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("TLS: {0}")]
    Rustls(#[from] tokio_rustls::rustls::Error),
}

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// Serving certificate, with its chain.
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Authorities of clients.
    pub(crate) client_ca: PathBuf,
}

/// What the files say now.
pub(crate) struct Tls {
    files: Files,
    current: ArcSwap<Current>,
}

/// What the files said at one moment.
pub(crate) struct Current {
    /// Counts changes.
    generation: u64,
    contents: Contents,
    pub(crate) acceptor: TlsAcceptor,
    verifier: Arc<dyn ClientCertVerifier>,
}

#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Vec<u8>,
}

/// Certificates of a client, and when they were verified.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verified {
    /// The client's own and its chain; empty for who has shown none.
    pub(crate) certificates: Arc<[CertificateDer<'static>]>,
    generation: u64,
}

impl Tls {
    /// Serves a certificate and asks clients for certificates of an authority. Who shows none has to show a token.
    pub(crate) fn load(files: Files) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let current = Current::new(&files, contents, 0)?;
        Ok(Self {
            files,
            current: ArcSwap::from_pointee(current),
        })
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// The authorities of clients, as PEM.
    pub(crate) fn client_authorities(&self) -> String {
        String::from_utf8_lossy(&self.current.load().contents.client_ca).into_owned()
    }

    /// Whether a client's certificates hold under the authorities of now.
    pub(crate) fn holds(&self, client: &Verified) -> bool {
        let current = self.current.load();
        let Some((own, chain)) = client.certificates.split_first() else {
            return true;
        };
        client.generation == current.generation
            || current
                .verifier
                .verify_client_cert(own, chain, UnixTime::now())
                .is_ok()
    }

    /// Reads the files again now and then, until the server ends.
    pub(crate) async fn follow(self: Arc<Self>, ending: watch::Receiver<bool>) {
        follow_files("certificates", move || self.reload(), ending).await;
    }

    /// Whether anything has changed.
    fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        let current = self.current.load();
        if contents == current.contents {
            return Ok(false);
        }
        let new = Current::new(&self.files, contents, current.generation + 1)?;
        self.current.store(Arc::new(new));
        Ok(true)
    }
}

impl Contents {
    fn read(files: &Files) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| file(path, e));
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
            client_ca: read(&files.client_ca)?,
        })
    }
}

impl Current {
    fn new(files: &Files, contents: Contents, generation: u64) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|e| file(&files.key, e))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.client_ca, &contents.client_ca)? {
            roots.add(root).map_err(|e| file(&files.client_ca, e))?;
        }
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()
            .map_err(|e| file(&files.client_ca, e))?;
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            generation,
            contents,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            verifier,
        })
    }

    /// What a connection that was accepted knows of its client.
    pub(crate) fn verified(&self, shown: Option<&[CertificateDer<'_>]>) -> Verified {
        let shown = shown.unwrap_or_default().iter();
        Verified {
            certificates: shown.map(|one| one.clone().into_owned()).collect(),
            generation: self.generation,
        }
    }
}

/// At least one certificate.
pub(crate) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|e| file(path, e))?;
    match all.is_empty() {
        true => Err(file(path, "there is no certificate in it")),
        false => Ok(all),
    }
}

pub(crate) fn file(path: &Path, why: impl std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_path_buf(),
        why: why.to_string(),
    }
}

/// Calls `reload` now and then, until the server ends; it says whether the files it reads, which are about `what`, have
/// changed.
pub(crate) async fn follow_files(
    what: &str,
    reload: impl Fn() -> Result<bool, TlsError> + Send + Sync + 'static,
    mut ending: watch::Receiver<bool>,
) {
    let reload = Arc::new(reload);
    let mut failed = String::new();
    loop {
        tokio::select! {
            () = sleep(TLS_FILES_EVERY) => {}
            _ = ending.changed() => return,
        }
        let reload = Arc::clone(&reload);
        let Ok(reloaded) = tokio::task::spawn_blocking(move || reload()).await else {
            continue;
        };
        match reloaded {
            Ok(true) => tracing::info!("{what} have changed"),
            Ok(false) => {}
            Err(e) => {
                // Half written, perhaps. Said once; what was read before stays.
                let text = e.to_string();
                if text != failed {
                    tracing::warn!("changed {what} are not used: {text}");
                    failed = text;
                }
                continue;
            }
        }
        failed.clear();
    }
}
