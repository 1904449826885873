//! Client certificates: every one is taken at the handshake, and judged when something is asked with it, so that a
//! client with a wrong one reads why in an answer, as upstream has it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::user::User;

/// Between two looks at the file of authorities.
const LOOK: Duration = Duration::from_secs(10);

/// Asks for a certificate and takes any; that the client has its key is made sure.
#[derive(Debug)]
pub(super) struct AskAll(pub(super) Arc<CryptoProvider>);

impl ClientCertVerifier for AskAll {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The authorities of clients. Their file is read again when it has changed.
pub(super) struct Authorities {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    current: Mutex<Current>,
}

struct Current {
    looked: Instant,
    pem: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Authorities {
    /// # Errors
    /// If the file cannot be read, or holds no certificate.
    pub(super) fn load(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let failed = |why: String| format!("{}: {why}", path.display());
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let verifier = verifier(&pem, provider).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            provider: Arc::clone(provider),
            current: Mutex::new(Current {
                looked: Instant::now(),
                pem,
                verifier,
            }),
        })
    }

    /// Whose certificate this is, first of a chain.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) async fn user(&self, chain: &[CertificateDer<'static>]) -> Result<User, String> {
        let Some((own, others)) = chain.split_first() else {
            return Err("there is no certificate".to_owned());
        };
        self.look().await;
        let verifier = Arc::clone(&self.current.lock().verifier);
        verifier
            .verify_client_cert(own, others, UnixTime::now())
            .map_err(|error| error.to_string())?;
        User::of_certificate(own).ok_or_else(|| "it has no common name".to_owned())
    }

    /// Reads the file again if that is due. What cannot be read changes nothing.
    async fn look(&self) {
        {
            let mut current = self.current.lock();
            if current.looked.elapsed() < LOOK {
                return;
            }
            current.looked = Instant::now();
        }
        let pem = match tokio::fs::read(&self.path).await {
            Ok(pem) => pem,
            Err(error) => {
                tracing::warn!("{}: {error}", self.path.display());
                return;
            }
        };
        if pem == self.current.lock().pem {
            return;
        }
        match verifier(&pem, &self.provider) {
            Ok(verifier) => {
                tracing::info!(
                    "{}: the authorities of clients have changed",
                    self.path.display()
                );
                let mut current = self.current.lock();
                current.pem = pem;
                current.verifier = verifier;
            }
            Err(error) => tracing::warn!("{}: {error}", self.path.display()),
        }
    }
}

fn verifier(
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem) {
        let root = root.map_err(|error| error.to_string())?;
        roots.add(root).map_err(|error| error.to_string())?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    use tokio_rustls::rustls::crypto::ring::default_provider;

    fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        (Issuer::new(params, key), pem)
    }

    fn client(issuer: &Issuer<'_, KeyPair>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "me");
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, issuer).expect("signed");
        made.der().clone()
    }

    #[tokio::test]
    async fn certificates_of_others_do_not_count() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.crt");
        let provider = Arc::new(default_provider());
        assert!(Authorities::load(&path, &provider).is_err());
        let ((ours, pem), (theirs, _)) = (authority("ours"), authority("theirs"));
        std::fs::write(&path, pem).expect("written");
        let known = Authorities::load(&path, &provider).expect("loaded");
        let user = known.user(&[client(&ours)]).await.expect("a user");
        assert_eq!(user.name, "me");
        assert!(known.user(&[client(&theirs)]).await.is_err());
        assert!(known.user(&[]).await.is_err());
        let garbage = CertificateDer::from(vec![1, 2, 3]);
        assert!(known.user(&[garbage]).await.is_err());
    }
}
