//! The controller's loop.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::context::Context;
use crate::each_namespace::EachNamespace;

const NAME: &str = "default";

/// Creates the account `default` wherever it is missing.
pub async fn service_accounts(cx: Context) {
    let wanted = |old: Option<&ServiceAccount>| match old {
        Some(_) => None,
        None => Some(ServiceAccount::default()),
    };
    EachNamespace::new(cx, "serviceaccount", NAME, wanted)
        .run()
        .await;
}
