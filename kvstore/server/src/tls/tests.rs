//! Handshakes with certificates made on the spot.

use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for `localhost` and its key.
    fn issue(&self, cert: &Path, key: &Path) {
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        fs::write(cert, params.signed_by(&own, &self.0).unwrap().pem()).unwrap();
        fs::write(key, own.serialize_pem()).unwrap();
    }
}

/// Files of a server and a client that trust each other.
fn files(dir: &Path, authority: &Authority) -> TlsFiles {
    let files = TlsFiles {
        cert: dir.join("server.crt"),
        key: dir.join("server.key"),
        client_cert: dir.join("client.crt"),
        client_key: dir.join("client.key"),
        trusted_ca: dir.join("ca.crt"),
        client_cert_auth: true,
        ..TlsFiles::default()
    };
    fs::write(&files.trusted_ca, authority.0.pem()).unwrap();
    authority.issue(&files.cert, &files.key);
    authority.issue(&files.client_cert, &files.client_key);
    files
}

/// The certificate the client was shown, if both sides accept each other.
fn handshake(server: Arc<ServerConfig>, client: ClientConfig) -> Option<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let accepting = TlsAcceptor::from(server).accept(far);
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(client)).connect(name, near);
        let (accepted, connected) = tokio::join!(accepting, connecting);
        accepted.ok()?;
        let connected = connected.ok()?;
        Some(connected.get_ref().1.peer_certificates()?.first()?.to_vec())
    })
}

#[test]
fn clients_need_a_certificate_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = files(dir.path(), &authority);
    let server = || Arc::new(files.server(&[b"h2"]).unwrap());
    assert!(handshake(server(), files.client().unwrap()).is_some());
    let nobody = TlsFiles {
        trusted_ca: files.trusted_ca.clone(),
        ..TlsFiles::default()
    };
    assert!(handshake(server(), nobody.client().unwrap()).is_none());
    let stranger_dir = tempfile::tempdir().unwrap();
    let mut stranger = self::files(stranger_dir.path(), &Authority::new());
    stranger.trusted_ca = files.trusted_ca.clone();
    assert!(handshake(server(), stranger.client().unwrap()).is_none());
    let open = TlsFiles {
        client_cert_auth: false,
        trusted_ca: PathBuf::new(),
        ..files.clone()
    };
    assert!(
        handshake(
            Arc::new(open.server(&[]).unwrap()),
            nobody.client().unwrap()
        )
        .is_some()
    );
}

#[test]
fn changed_files_are_used_and_broken_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = files(dir.path(), &authority);
    let tls = ServerTls::new(&files).unwrap();
    let first = handshake(tls.current(), files.client().unwrap()).unwrap();
    assert_eq!(
        handshake(tls.current(), files.client().unwrap()).as_ref(),
        Some(&first)
    );
    authority.issue(&files.cert, &files.key);
    let second = handshake(tls.current(), files.client().unwrap()).unwrap();
    assert_ne!(first, second);
    fs::write(&files.cert, "nonsense").unwrap();
    assert_eq!(
        handshake(tls.current(), files.client().unwrap()),
        Some(second)
    );
}

#[test]
fn versions_and_missing_files_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let good = files(dir.path(), &Authority::new());
    let error = |files: TlsFiles| files.server(&[]).unwrap_err().to_string();
    let missing = TlsFiles {
        cert: "/nonexistent/x.crt".into(),
        ..good.clone()
    };
    assert!(error(missing).starts_with("/nonexistent/x.crt: "));
    let reversed = TlsFiles {
        min_version: "TLS1.3".to_owned(),
        max_version: "TLS1.2".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        error(reversed),
        "min version (TLS1.3) is greater than max version (TLS1.2)"
    );
    let unknown = TlsFiles {
        min_version: "TLS9".to_owned(),
        ..good
    };
    assert_eq!(error(unknown), "unexpected TLS version \"TLS9\"");
}
