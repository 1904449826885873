//! Certificates for clusters with mutual TLS.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A certificate authority with files in one folder.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Paths of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM certificate.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// What a client needs: the authority it trusts and, for mutual TLS, its own certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// PEM of the trusted authority.
    pub ca: String,
    /// PEM certificate and key, absent for a client that does not identify itself.
    pub own: Option<(String, String)>,
}

impl Authority {
    /// Makes a new authority and writes `ca.pem` into `dir`.
    pub fn new(dir: &Path) -> Self {
        let key = KeyPair::generate().expect("keys can be generated");
        let mut params = CertificateParams::new(Vec::new()).expect("no names to refuse");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "mainstay test authority");
        let pem = params
            .self_signed(&key)
            .expect("an authority signs itself")
            .pem();
        std::fs::write(dir.join("ca.pem"), &pem).expect("the test folder is writable");
        Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Path of the authority's certificate.
    pub fn path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Issues a certificate for loopback, for servers and clients alike, and writes it as `<name>.pem` and
    /// `<name>.key`, replacing what was there.
    pub fn issue(&self, name: &str) -> Pair {
        let key = KeyPair::generate().expect("keys can be generated");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("plain names are accepted");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let cert = params
            .signed_by(&key, &self.issuer)
            .expect("the authority signs");
        let pair = Pair {
            cert: self.dir.join(format!("{name}.pem")),
            key: self.dir.join(format!("{name}.key")),
        };
        std::fs::write(&pair.cert, cert.pem()).expect("the test folder is writable");
        std::fs::write(&pair.key, key.serialize_pem()).expect("the test folder is writable");
        pair
    }

    /// A client that trusts this authority and shows `pair`, if any.
    pub fn client(&self, pair: Option<&Pair>) -> ClientIdentity {
        let read = |path: &Path| std::fs::read_to_string(path).expect("issued files are readable");
        ClientIdentity {
            ca: self.pem.clone(),
            own: pair.map(|pair| (read(&pair.cert), read(&pair.key))),
        }
    }
}

impl ClientIdentity {
    /// A rustls connector for raw connections.
    pub fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca.as_bytes()).expect("issued PEM is valid");
        roots.add(ca).expect("the issued authority is valid");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_root_certificates(roots);
        let config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("valid PEM")],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("valid PEM"),
                )
                .expect("the certificate matches its key"),
        };
        TlsConnector::from(Arc::new(config))
    }

    /// The same identity for a tonic channel.
    pub fn tonic(&self) -> tonic::transport::ClientTlsConfig {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.ca))
            .domain_name("localhost");
        match &self.own {
            None => config,
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
        }
    }
}
