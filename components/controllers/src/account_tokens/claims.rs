//! What such a token says.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use mainstay_auth::authn::LEGACY_ISSUER;
use mainstay_auth::service_account_username;
use serde_json::{Value, json};

/// It ends with its secret or its account, and never by itself.
pub(super) fn claims(account: &ServiceAccount, secret: &Secret) -> Value {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let meta = &account.metadata;
    let (namespace, name) = (text(&meta.namespace), text(&meta.name));
    json!({
        "iss": LEGACY_ISSUER,
        "sub": service_account_username(&namespace, &name),
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": text(&secret.metadata.name),
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": text(&meta.uid),
    })
}
