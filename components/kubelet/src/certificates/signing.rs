//! Asking the cluster to sign.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::TryStreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestSpec,
};
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use sha2::{Digest as _, Sha512_256};
use tokio::time::timeout;

use super::pair::Pair;

/// What a node's certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be known to the apiserver.
    Client,
    /// To be known to those who ask it, under these names and addresses.
    Serving(Vec<String>),
}

impl Purpose {
    fn signer(&self) -> &'static str {
        match self {
            Self::Client => "kubernetes.io/kube-apiserver-client-kubelet",
            Self::Serving(_) => "kubernetes.io/kubelet-serving",
        }
    }

    /// Of a key on an elliptic curve, which encrypts no other keys.
    fn usages(&self) -> [&'static str; 2] {
        match self {
            Self::Client => ["digital signature", "client auth"],
            Self::Serving(_) => ["digital signature", "server auth"],
        }
    }

    /// Whether a certificate is for this, for this node and these names.
    #[must_use]
    pub fn is_met_by(&self, pair: &Pair, node: &str) -> bool {
        let hosts = match self {
            Self::Client => true,
            Self::Serving(hosts) => {
                let mut hosts = hosts.clone();
                hosts.sort();
                hosts == pair.hosts
            }
        };
        hosts && pair.name == subject(node) && pair.groups == [GROUP]
    }
}

const GROUP: &str = "system:nodes";

fn subject(node: &str) -> String {
    format!("system:node:{node}")
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("making a request: {0}")]
    Request(#[from] rcgen::Error),
    #[error("certificate signing request: {0}")]
    Server(#[from] kube::Error),
    #[error("watching the certificate signing request: {0}")]
    Watch(#[from] watcher::Error),
    #[error("certificate signing request {name} is {what}: {message}")]
    Refused {
        name: String,
        what: &'static str,
        message: String,
    },
    #[error("certificate signing request {0} was not signed in time")]
    Late(String),
    #[error("certificate signing request {0} is gone")]
    Gone(String),
    #[error("the certificate that was signed is {name}'s, until {ends}, and not for this")]
    Unfit { name: String, ends: jiff::Timestamp },
    #[error("the certificate that was signed: {0}")]
    Certificate(#[from] super::pair::PairError),
}

/// Asks for a certificate of a key and waits for it. A request of the same key that was made before is used again.
///
/// # Errors
/// If it is refused, or nobody signs it within `patience`.
pub(super) async fn ask(
    client: &Client,
    node: &str,
    purpose: &Purpose,
    key: &str,
    patience: Duration,
) -> Result<Pair, SigningError> {
    let pair = KeyPair::from_pem(key)?;
    let name = name(&pair, node, purpose);
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let mut request = CertificateSigningRequest {
        spec: CertificateSigningRequestSpec {
            request: ByteString(text(&pair, node, purpose)?.into_bytes()),
            signer_name: purpose.signer().to_owned(),
            usages: Some(purpose.usages().map(str::to_owned).to_vec()),
            ..CertificateSigningRequestSpec::default()
        },
        ..CertificateSigningRequest::default()
    };
    request.metadata.name = Some(name.clone());
    match api.create(&PostParams::default(), &request).await {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
        created => drop(created?),
    }
    let signed = timeout(patience, signed(api, &name)).await;
    let chain = signed.map_err(|_| SigningError::Late(name))??;
    Ok(Pair::read(&chain, key)?)
}

fn text(key: &KeyPair, node: &str, purpose: &Purpose) -> Result<String, rcgen::Error> {
    let hosts = match purpose {
        Purpose::Client => Vec::new(),
        Purpose::Serving(hosts) => hosts.clone(),
    };
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, GROUP);
    params
        .distinguished_name
        .push(DnType::CommonName, subject(node));
    params.serialize_request(key)?.pem()
}

/// The same for the same key and purpose, as upstream's is for a first certificate.
fn name(key: &KeyPair, node: &str, purpose: &Purpose) -> String {
    let mut sum = Sha512_256::new();
    let subject = subject(node);
    let mut parts: Vec<&[u8]> = vec![key.public_key_raw(), subject.as_bytes(), GROUP.as_bytes()];
    let usages = purpose.usages();
    parts.extend(usages.iter().map(|usage| usage.as_bytes()));
    if let Purpose::Serving(hosts) = purpose {
        parts.extend(hosts.iter().map(String::as_bytes));
    }
    for part in parts {
        sum.update(URL_SAFE_NO_PAD.encode(part));
        sum.update(b"|");
    }
    let sum = URL_SAFE_NO_PAD.encode(sum.finalize());
    // Names of objects are of small letters.
    let plain = sum.to_lowercase().replace(['_', '-'], "0");
    match purpose {
        Purpose::Client => format!("node-csr-{plain}"),
        Purpose::Serving(_) => format!("csr-{plain}"),
    }
}

async fn signed(api: Api<CertificateSigningRequest>, name: &str) -> Result<String, SigningError> {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let states = watcher(api.clone(), config)
        .default_backoff()
        .applied_objects();
    let mut states = std::pin::pin!(states);
    loop {
        let state = match states.try_next().await {
            Ok(Some(state)) => state,
            Ok(None) => return Err(SigningError::Gone(name.to_owned())),
            // A node that is not known yet may not be allowed to watch; what stands is tried again by the caller.
            Err(watcher::Error::InitialListFailed(error)) => return Err(error.into()),
            Err(error) => {
                tracing::debug!(name, "{error}");
                continue;
            }
        };
        let status = state.status.unwrap_or_default();
        let conditions = status.conditions.iter().flatten();
        for condition in conditions {
            let what = match condition.type_.as_str() {
                "Denied" => "denied",
                "Failed" => "failed",
                _ => continue,
            };
            return Err(SigningError::Refused {
                name: name.to_owned(),
                what,
                message: condition.message.clone().unwrap_or_default(),
            });
        }
        let chain = status.certificate.map(|bytes| bytes.0).unwrap_or_default();
        if !chain.is_empty() {
            return Ok(String::from_utf8_lossy(&chain).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pair::tests::made;
    use super::*;

    #[test]
    fn the_same_request_has_the_same_name() {
        let (one, two) = (
            KeyPair::generate().expect("a key"),
            KeyPair::generate().expect("a key"),
        );
        let serving = |host: &str| Purpose::Serving(vec![host.to_owned()]);
        let first = name(&one, "n", &Purpose::Client);
        assert_eq!(first, name(&one, "n", &Purpose::Client));
        assert!(first.starts_with("node-csr-"), "{first}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(first.chars().all(plain) && first.len() <= 63, "{first}");
        for other in [
            name(&two, "n", &Purpose::Client),
            name(&one, "m", &Purpose::Client),
            name(&one, "n", &serving("a")),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(
            name(&one, "n", &serving("a")),
            name(&one, "n", &serving("b"))
        );
    }

    #[test]
    fn a_certificate_is_kept_only_while_it_fits() {
        let (chain, key) = made("system:node:n", 1000);
        let pair = Pair::read(&chain, &key).expect("a pair");
        let serving =
            |hosts: &[&str]| Purpose::Serving(hosts.iter().map(|h| (*h).to_owned()).collect());
        for (purpose, node, fits) in [
            (Purpose::Client, "n", true),
            (Purpose::Client, "m", false),
            (serving(&["node-1", "192.0.2.1"]), "n", true),
            (serving(&["node-1", "192.0.2.2"]), "n", false),
            (serving(&["node-1"]), "n", false),
        ] {
            assert_eq!(purpose.is_met_by(&pair, node), fits, "{purpose:?} {node}");
        }
    }
}
