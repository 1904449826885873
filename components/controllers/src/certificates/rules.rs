//! What may be asked of each signer.

use std::collections::BTreeSet;

use super::request::Request;

/// The signers that Kubernetes itself answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signer {
    KubeletServing,
    KubeletClient,
    ApiserverClient,
    LegacyUnknown,
}

impl Signer {
    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/kubelet-serving" => Some(Self::KubeletServing),
            "kubernetes.io/kube-apiserver-client-kubelet" => Some(Self::KubeletClient),
            "kubernetes.io/kube-apiserver-client" => Some(Self::ApiserverClient),
            "kubernetes.io/legacy-unknown" => Some(Self::LegacyUnknown),
            _ => None,
        }
    }

    /// An error is the text of the request's condition `Failed`.
    pub(super) fn check(self, request: &Request, usages: &[String]) -> Result<(), String> {
        match self {
            Self::KubeletServing => kubelet_serving(request, usages),
            Self::KubeletClient => kubelet_client(request, usages),
            Self::ApiserverClient => apiserver_client(usages),
            // It promises nothing to anybody.
            Self::LegacyUnknown => Ok(()),
        }
    }
}

const SIGNATURE: &str = "digital signature";
const ENCIPHERMENT: &str = "key encipherment";
const CLIENT: &str = "client auth";
const SERVER: &str = "server auth";

/// What a kubelet shows the apiserver.
pub(super) fn kubelet_client(request: &Request, usages: &[String]) -> Result<(), String> {
    of_nodes(request)?;
    for (names, kind) in [
        (request.dns.len(), "DNS"),
        (request.emails.len(), "Email"),
        (request.addresses.len(), "IP"),
        (request.uris.len(), "URI"),
    ] {
        if names > 0 {
            return Err(format!("{kind} subjectAltNames are not allowed"));
        }
    }
    of_a_node(request)?;
    exactly(usages, CLIENT)
}

/// What the apiserver is shown by a kubelet.
fn kubelet_serving(request: &Request, usages: &[String]) -> Result<(), String> {
    of_nodes(request)?;
    if request.dns.is_empty() && request.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    if !request.emails.is_empty() {
        return Err("Email subjectAltNames are not allowed".to_owned());
    }
    if !request.uris.is_empty() {
        return Err("URI subjectAltNames are not allowed".to_owned());
    }
    exactly(usages, SERVER)?;
    of_a_node(request)
}

fn apiserver_client(usages: &[String]) -> Result<(), String> {
    let optional = [SIGNATURE, ENCIPHERMENT];
    let other = |usage: &&String| usage.as_str() != CLIENT && !optional.contains(&usage.as_str());
    if let Some(other) = usages.iter().find(other) {
        return Err(format!("invalid usage for client certificate: {other}"));
    }
    match usages.iter().any(|usage| usage == CLIENT) {
        true => Ok(()),
        false => Err(format!(
            "missing required usage for client certificate: {CLIENT}"
        )),
    }
}

fn of_nodes(request: &Request) -> Result<(), String> {
    match request.organizations == ["system:nodes"] {
        true => Ok(()),
        false => Err("subject organization is not system:nodes".to_owned()),
    }
}

fn of_a_node(request: &Request) -> Result<(), String> {
    match request.common_name.starts_with("system:node:") {
        true => Ok(()),
        false => Err("subject common name does not begin with system:node:".to_owned()),
    }
}

/// Keys that are not RSA encipher nothing, so that usage may be missing.
fn exactly(usages: &[String], purpose: &str) -> Result<(), String> {
    let own: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let mut with = [SIGNATURE, ENCIPHERMENT, purpose];
    if own == BTreeSet::from(with) || own == BTreeSet::from([SIGNATURE, purpose]) {
        return Ok(());
    }
    with.sort_unstable();
    Err(format!("usages did not match [{}]", with.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &[u8] = include_bytes!("testdata/node.pem");
    const NODE_DNS: &[u8] = include_bytes!("testdata/node-dns.pem");
    const SERVING: &[u8] = include_bytes!("testdata/serving.pem");
    const SERVING_MAIL: &[u8] = include_bytes!("testdata/serving-mail.pem");
    const SERVING_URI: &[u8] = include_bytes!("testdata/serving-uri.pem");
    const STRANGER: &[u8] = include_bytes!("testdata/stranger.pem");
    const PERSON: &[u8] = include_bytes!("testdata/client.pem");

    #[test]
    fn each_signer_takes_what_it_is_for() {
        let (kubelet, serving) = (Signer::KubeletClient, Signer::KubeletServing);
        let (client, legacy) = (Signer::ApiserverClient, Signer::LegacyUnknown);
        for (signer, pem, usages, failure) in [
            (kubelet, NODE, "digital signature,client auth", ""),
            (
                kubelet,
                NODE,
                "digital signature,key encipherment,client auth",
                "",
            ),
            (
                kubelet,
                NODE,
                "client auth",
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (
                kubelet,
                NODE,
                "digital signature,client auth,server auth",
                "usages did not match [client auth digital signature key encipherment]",
            ),
            (
                kubelet,
                NODE_DNS,
                "digital signature,client auth",
                "DNS subjectAltNames are not allowed",
            ),
            (
                kubelet,
                PERSON,
                "digital signature,client auth",
                "subject organization is not system:nodes",
            ),
            (serving, SERVING, "digital signature,server auth", ""),
            (
                serving,
                SERVING,
                "digital signature,key encipherment,server auth",
                "",
            ),
            (
                serving,
                NODE,
                "digital signature,server auth",
                "DNS or IP subjectAltName is required",
            ),
            (
                serving,
                SERVING_MAIL,
                "digital signature,server auth",
                "Email subjectAltNames are not allowed",
            ),
            (
                serving,
                SERVING_URI,
                "digital signature,server auth",
                "URI subjectAltNames are not allowed",
            ),
            (
                serving,
                SERVING,
                "server auth",
                "usages did not match [digital signature key encipherment server auth]",
            ),
            (
                serving,
                STRANGER,
                "digital signature,server auth",
                "subject common name does not begin with system:node:",
            ),
            (client, PERSON, "client auth", ""),
            (
                client,
                PERSON,
                "client auth,digital signature,key encipherment",
                "",
            ),
            (
                client,
                PERSON,
                "digital signature",
                "missing required usage for client certificate: client auth",
            ),
            (
                client,
                PERSON,
                "client auth,server auth",
                "invalid usage for client certificate: server auth",
            ),
            (legacy, PERSON, "cert sign", ""),
        ] {
            let request = Request::from_pem(pem).expect("readable");
            let names: Vec<String> = usages.split(',').map(str::to_owned).collect();
            let told = signer.check(&request, &names).err().unwrap_or_default();
            assert_eq!(told, failure, "{signer:?} {usages}");
        }
    }
}
