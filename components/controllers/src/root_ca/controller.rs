//! The controller's loop.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use crate::context::Context;
use crate::each_namespace::EachNamespace;

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const ABOUT: &str = "CA certificates of the apiserver's own names and addresses inside the cluster";

/// Keeps the config map `kube-root-ca.crt` in every namespace. Without a CA in the options there is nothing to do.
pub async fn root_ca(cx: Context) {
    let Some(ca) = cx.options.root_ca.clone() else {
        return std::future::pending().await;
    };
    let data = BTreeMap::from([(FIELD.to_owned(), ca)]);
    let wanted = move |old: Option<&ConfigMap>| {
        let new = with(old.cloned().unwrap_or_default(), &data);
        (old != Some(&new)).then_some(new)
    };
    EachNamespace::new(cx, "root_ca_cert_publisher", NAME, wanted)
        .run()
        .await;
}

fn with(mut map: ConfigMap, data: &BTreeMap<String, String>) -> ConfigMap {
    map.data = Some(data.clone());
    let annotations = map.metadata.annotations.get_or_insert_default();
    // Who has written another text keeps it.
    let about = annotations.entry(DESCRIPTION.to_owned()).or_default();
    if about.is_empty() {
        ABOUT.clone_into(about);
    }
    map
}
