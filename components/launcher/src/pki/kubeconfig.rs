//! Kubeconfigs with everything inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// For `user` at `url`; certificates and key are PEM.
pub(crate) fn kubeconfig(url: &str, user: &str, ca: &str, cert: &str, key: &str) -> String {
    let credentials = format!(
        "client-certificate-data: {}\n    client-key-data: {}",
        STANDARD.encode(cert),
        STANDARD.encode(key)
    );
    of(url, user, ca, &credentials)
}

/// The same for who has a token only.
pub(crate) fn token_kubeconfig(url: &str, user: &str, ca: &str, token: &str) -> String {
    of(url, user, ca, &format!("token: {token}"))
}

/// Where the cluster is and whom to trust, without credentials: what everybody may know.
pub(crate) fn public_kubeconfig(url: &str, ca: &str) -> String {
    let ca = STANDARD.encode(ca);
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {url}\n  \
         name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n"
    )
}

fn of(url: &str, user: &str, ca: &str, credentials: &str) -> String {
    let ca = STANDARD.encode(ca);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: mainstay\n  cluster:\n    server: {url}\n    \
         certificate-authority-data: {ca}\nusers:\n- name: {user}\n  user:\n    {credentials}\n\
         contexts:\n- name: mainstay\n  context:\n    cluster: mainstay\n    user: {user}\n\
         current-context: mainstay\n"
    )
}
