//! How a node comes by its certificates.

use std::path::{Path, PathBuf};

use super::file::ConfigFile;
use super::flags::Flags;

/// What flags and file say about certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateOptions {
    /// The kubeconfig with which a first client certificate is asked for.
    pub bootstrap: Option<PathBuf>,
    /// Where certificates and keys are kept.
    pub folder: PathBuf,
    /// Whether the client certificate is renewed before it ends,
    pub rotate: bool,
    /// and whether the cluster signs the serving certificate.
    pub rotate_serving: bool,
}

impl CertificateOptions {
    /// `root`: the kubelet's folder.
    pub(super) fn of(flags: &Flags, file: &ConfigFile, root: &Path) -> Self {
        let bootstrap = flags.bootstrap_kubeconfig.clone();
        Self {
            bootstrap: bootstrap.filter(|path| !path.is_empty()).map(PathBuf::from),
            folder: flags.cert_dir.clone().unwrap_or_else(|| root.join("pki")),
            rotate: flags
                .rotate_certificates
                .or(file.rotate_certificates)
                .unwrap_or(false),
            rotate_serving: flags
                .rotate_server_certificates
                .or(file.server_tls_bootstrap)
                .unwrap_or(false),
        }
    }
}
