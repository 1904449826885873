//! The serving certificate: one that was brought, or one made at the start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("making a certificate: {0}")]
    Made(#[from] rcgen::Error),
    #[error("TLS: {0}")]
    Rustls(#[from] tokio_rustls::rustls::Error),
}

/// From files: certificate with its chain, and key.
pub(crate) fn from_files(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| TlsError::File {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let pem = std::fs::read(cert).map_err(|e| failed(cert, &e))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|e| failed(cert, &e))?;
    if chain.is_empty() {
        return Err(failed(cert, &"there is no certificate in it"));
    }
    let pem = std::fs::read(key).map_err(|e| failed(key, &e))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| failed(key, &e))?;
    acceptor(chain, key)
}

/// Signed by itself and kept in memory only, as upstream's components have it when none is given.
pub(crate) fn made(name: &str, address: IpAddr) -> Result<TlsAcceptor, TlsError> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params
        .subject_alt_names
        .push(SanType::IpAddress(IpAddr::from([127, 0, 0, 1])));
    if !address.is_unspecified() && !address.is_loopback() {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|why| TlsError::File {
        path: PathBuf::new(),
        why: why.to_owned(),
    })?;
    acceptor(vec![certificate.der().clone()], key)
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_can_be_made_and_what_is_none_is_told_by_its_path() {
        assert!(made("test", IpAddr::from([0, 0, 0, 0])).is_ok());
        let nowhere = Path::new("/nonexistent/tls.crt");
        let error = from_files(nowhere, nowhere).err().expect("there is none");
        assert!(error.to_string().starts_with("/nonexistent/tls.crt: "));
    }
}
