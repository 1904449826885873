//! With what certificates are signed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mainstay_client::process::duration;

use super::authority::Authority;
use super::rules::Signer;

/// Files are read again for each certificate, so that they can be replaced at any time.
#[derive(Args, Clone, Debug, Default)]
pub struct SigningOptions {
    /// CA certificate (PEM) that certificates of all signers are issued by, if none is set for one of them.
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// Its private key (PEM, RSA or ECDSA).
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// The same for kubernetes.io/kubelet-serving.
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_cert_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_key_file: Option<PathBuf>,
    /// The same for kubernetes.io/kube-apiserver-client-kubelet.
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_cert_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_key_file: Option<PathBuf>,
    /// The same for kubernetes.io/kube-apiserver-client.
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_cert_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_key_file: Option<PathBuf>,
    /// The same for kubernetes.io/legacy-unknown.
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_cert_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_key_file: Option<PathBuf>,
    /// How long certificates are valid at most; a request may ask for less.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "8760h0m0s")]
    pub cluster_signing_duration: Duration,
}

/// A certificate and its key.
pub(super) type Files<'a> = (&'a PathBuf, &'a PathBuf);

const SIGNERS: [Signer; 4] = [
    Signer::KubeletServing,
    Signer::KubeletClient,
    Signer::ApiserverClient,
    Signer::LegacyUnknown,
];

impl SigningOptions {
    /// Refuses flags that cannot be together, and files that nothing can be signed with.
    ///
    /// # Errors
    /// Says why.
    pub fn check(&self) -> Result<(), String> {
        let (cert, key) = (
            &self.cluster_signing_cert_file,
            &self.cluster_signing_key_file,
        );
        let any_specific = self.any_specific();
        if (cert.is_some() || key.is_some()) && any_specific {
            return Err(
                "cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time"
                    .to_owned(),
            );
        }
        let specific = SIGNERS.map(|signer| self.specific(signer));
        for (cert, key) in specific.into_iter().chain([(cert, key)]) {
            match (cert, key) {
                (None, Some(_)) => return Err("cannot specify key without cert".to_owned()),
                (Some(_), None) => return Err("cannot specify cert without key".to_owned()),
                (Some(cert), Some(key)) => {
                    Authority::read(cert, key)?;
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// What certificates of a signer are signed with: its own files, or if no signer has any, those for all.
    pub(super) fn files(&self, signer: Signer) -> Option<Files<'_>> {
        let (cert, key) = match self.any_specific() {
            true => self.specific(signer),
            false => (
                &self.cluster_signing_cert_file,
                &self.cluster_signing_key_file,
            ),
        };
        Some((cert.as_ref()?, key.as_ref()?))
    }

    /// Whether any signer has files.
    pub(super) fn any(&self) -> bool {
        SIGNERS.iter().any(|signer| self.files(*signer).is_some())
    }

    fn any_specific(&self) -> bool {
        SIGNERS.iter().any(|signer| {
            let (cert, key) = self.specific(*signer);
            cert.is_some() || key.is_some()
        })
    }

    fn specific(&self, signer: Signer) -> (&Option<PathBuf>, &Option<PathBuf>) {
        match signer {
            Signer::KubeletServing => (
                &self.cluster_signing_kubelet_serving_cert_file,
                &self.cluster_signing_kubelet_serving_key_file,
            ),
            Signer::KubeletClient => (
                &self.cluster_signing_kubelet_client_cert_file,
                &self.cluster_signing_kubelet_client_key_file,
            ),
            Signer::ApiserverClient => (
                &self.cluster_signing_kube_apiserver_client_cert_file,
                &self.cluster_signing_kube_apiserver_client_key_file,
            ),
            Signer::LegacyUnknown => (
                &self.cluster_signing_legacy_unknown_cert_file,
                &self.cluster_signing_legacy_unknown_key_file,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_has_its_own_files_or_those_of_all_and_never_a_mixture() {
        let file = |name: &str| Some(PathBuf::from(name));
        let one = SigningOptions {
            cluster_signing_cert_file: file("ca.crt"),
            cluster_signing_key_file: file("ca.key"),
            ..SigningOptions::default()
        };
        assert_eq!(
            one.files(Signer::KubeletClient).map(|files| files.0),
            file("ca.crt").as_ref()
        );
        let own = SigningOptions {
            cluster_signing_kubelet_client_cert_file: file("k.crt"),
            cluster_signing_kubelet_client_key_file: file("k.key"),
            ..SigningOptions::default()
        };
        assert!(own.files(Signer::KubeletClient).is_some());
        assert!(own.files(Signer::LegacyUnknown).is_none());
        assert!(own.any() && !SigningOptions::default().any());
        let both = SigningOptions {
            cluster_signing_cert_file: file("ca.crt"),
            ..own.clone()
        };
        assert!(
            both.check()
                .is_err_and(|why| why.contains("at the same time"))
        );
        let half = SigningOptions {
            cluster_signing_kubelet_client_key_file: None,
            ..own
        };
        assert_eq!(
            half.check(),
            Err("cannot specify cert without key".to_owned())
        );
        assert_eq!(SigningOptions::default().check(), Ok(()));
    }
}
