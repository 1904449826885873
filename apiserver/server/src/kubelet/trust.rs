//! TLS towards kubelets, from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::proxy::anybody;
use crate::tls::{TlsError, certificates, file};

/// What this server shows kubelets, and what it believes of theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// Client certificate, with its chain, and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Authority of kubelets. Without one, their certificates are not verified.
    pub(crate) authority: Option<PathBuf>,
}

/// What the files said at one moment.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    identity: Option<(Vec<u8>, Vec<u8>)>,
    authority: Option<Vec<u8>>,
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|e| file(path, e));
        let identity = match &self.identity {
            Some((cert, key)) => Some((read(cert)?, read(key)?)),
            None => None,
        };
        let authority = self.authority.as_deref().map(read).transpose()?;
        Ok(Contents {
            identity,
            authority,
        })
    }

    /// TLS as the files want it; if `insecure`, whoever a kubelet says it is.
    pub(super) fn config(
        &self,
        contents: &Contents,
        insecure: bool,
    ) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder();
        let authority = self.authority.as_deref().zip(contents.authority.as_deref());
        let builder = match authority.filter(|_| !insecure) {
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(anybody()),
            Some((path, pem)) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path, pem)? {
                    roots.add(root).map_err(|e| file(path, e))?;
                }
                builder.with_root_certificates(Arc::new(roots))
            }
        };
        let identity = self.identity.as_ref().zip(contents.identity.as_ref());
        let Some(((cert_path, key_path), (cert, key))) = identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain: Vec<CertificateDer<'static>> = certificates(cert_path, cert)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| file(key_path, e))?;
        Ok(builder.with_client_auth_cert(chain, key)?)
    }
}
