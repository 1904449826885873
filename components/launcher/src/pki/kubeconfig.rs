//! Kubeconfigs with everything inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// For `user` at `url`; certificates and key are PEM.
pub(crate) fn kubeconfig(url: &str, user: &str, ca: &str, cert: &str, key: &str) -> String {
    let encode = |text: &str| STANDARD.encode(text);
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
