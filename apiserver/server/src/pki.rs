//! Keys and certificates that nobody brought: made once, in a folder, for a server that is secure from its first
//! start.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

/// What a server needs, as files.
#[derive(Clone, Debug)]
pub(crate) struct Pki {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) service_accounts: PathBuf,
    /// Client certificate for kubelets, and its key.
    pub(crate) kubelet_client: (PathBuf, PathBuf),
}

/// Why nothing could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("making a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Whom the serving certificate is for.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) dns: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Names {
    /// The names a cluster knows its API under, and these addresses.
    pub(crate) fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let dns = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
        ];
        let mut addresses: Vec<IpAddr> = addresses.into_iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            dns: dns.map(String::from).to_vec(),
            addresses,
        }
    }
}

/// Who gets a kubeconfig, with the user and the groups in it. Components under upstream's names: the bootstrap roles are
/// bound to these users. The user of fake nodes has no role of its own: whoever wants them binds it to that of nodes.
const IDENTITIES: [(&str, &str, &[&str]); 4] = [
    ("admin", "kubernetes-admin", &["system:masters"]),
    ("controller-manager", "system:kube-controller-manager", &[]),
    ("scheduler", "system:kube-scheduler", &[]),
    ("fake-nodes", "mainstay:fake-nodes", &[]),
];

/// Who this server is to kubelets: kubeadm's name.
const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// Makes what is missing in `dir`: an authority, a serving certificate, a key for service-account tokens, and for an
/// administrator and each component a kubeconfig that points at `url`.
pub(crate) fn ensure(dir: &Path, names: &Names, url: &str) -> Result<Pki, PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| file_error(dir, source))?;
    let pki = Pki {
        ca: dir.join("ca.crt"),
        cert: dir.join("apiserver.crt"),
        key: dir.join("apiserver.key"),
        service_accounts: dir.join("sa.key"),
        kubelet_client: (
            dir.join("apiserver-kubelet-client.crt"),
            dir.join("apiserver-kubelet-client.key"),
        ),
    };
    let ca_key = dir.join("ca.key");
    if !ca_key.exists() {
        let issuer = CertifiedIssuer::self_signed(authority(), KeyPair::generate()?)?;
        write(&pki.ca, issuer.pem().as_bytes(), 0o644)?;
        write(&ca_key, issuer.key().serialize_pem().as_bytes(), 0o600)?;
    }
    let issuer = Issuer {
        ca: read(&pki.ca)?,
        key: read(&ca_key)?,
    };
    if !pki.key.exists() {
        let (cert, key) = issuer.serving(names)?;
        write(&pki.cert, cert.as_bytes(), 0o644)?;
        write(&pki.key, key.as_bytes(), 0o600)?;
    }
    if !pki.service_accounts.exists() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        write(&pki.service_accounts, key.serialize_pem().as_bytes(), 0o600)?;
    }
    let (kubelet_cert, kubelet_key) = &pki.kubelet_client;
    if !kubelet_key.exists() {
        let (cert, key) = issuer.client(KUBELET_CLIENT, &["system:masters"])?;
        write(kubelet_cert, cert.as_bytes(), 0o644)?;
        write(kubelet_key, key.as_bytes(), 0o600)?;
    }
    for (name, user, groups) in IDENTITIES {
        let kubeconfig = dir.join(format!("{name}.kubeconfig"));
        if !kubeconfig.exists() {
            let (cert, key) = issuer.client(user, groups)?;
            let text = kubeconfig_of(url, name, &issuer.ca, &cert, &key);
            write(&kubeconfig, text.as_bytes(), 0o600)?;
        }
    }
    Ok(pki)
}

/// An authority read from its files.
struct Issuer {
    ca: String,
    key: String,
}

impl Issuer {
    fn serving(&self, names: &Names) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::new(names.dns.clone())?;
        params.distinguished_name = subject("kube-apiserver", &[]);
        let addresses = names.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn client(&self, name: &str, groups: &[&str]) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name, groups);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<(String, String), rcgen::Error> {
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.use_authority_key_identifier_extension = true;
        let ca_key = KeyPair::from_pem(&self.key)?;
        let issuer = rcgen::Issuer::from_ca_cert_pem(&self.ca, ca_key)?;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &issuer)?;
        Ok((cert.pem(), key.serialize_pem()))
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("kubernetes", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn subject(name: &str, groups: &[&str]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

/// A kubeconfig with everything inside.
fn kubeconfig_of(url: &str, user: &str, ca: &str, cert: &str, key: &str) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: mainstay\n  cluster:\n    server: {url}\n    \
         certificate-authority-data: {}\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    \
         client-key-data: {}\ncontexts:\n- name: mainstay\n  context:\n    cluster: mainstay\n    user: {user}\n\
         current-context: mainstay\n",
        encode(ca),
        encode(cert),
        encode(key)
    )
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| file_error(path, source))
}

/// Whole or not at all: under another name first.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let new = path.with_extension("new");
    let attempt = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    attempt().map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> PkiError {
    PkiError::File {
        path: path.to_path_buf(),
        source,
    }
}
