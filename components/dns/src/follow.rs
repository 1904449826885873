//! From the apiserver to the index.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::{Change, Informers};

use crate::zone::Index;

/// Feeds the index from watches and waits until they have shown everything once. The index goes on being fed, and
/// answers from what it has while no apiserver does.
pub(crate) async fn follow(informers: &Informers, index: &Arc<Index>) {
    let services = informers.of::<Service>();
    let slices = informers.of::<EndpointSlice>();
    let namespaces = informers.of::<Namespace>();

    let into = Arc::clone(index);
    services.on(move |change| match change {
        Change::Added(object) | Change::Updated { new: object, .. } => into.service(object, true),
        Change::Deleted(object) => into.service(object, false),
    });
    let into = Arc::clone(index);
    slices.on(move |change| match change {
        Change::Added(object) => into.slice(object, true),
        Change::Updated { old, new } => {
            if old.metadata.labels != new.metadata.labels {
                into.slice(old, false);
            }
            into.slice(new, true);
        }
        Change::Deleted(object) => into.slice(object, false),
    });
    let into = Arc::clone(index);
    namespaces.on(move |change| {
        let exists = !matches!(change, Change::Deleted(_));
        let name = change.object().metadata.name.as_deref();
        into.namespace(name.unwrap_or_default(), exists);
    });

    services.synced().await;
    slices.synced().await;
    namespaces.synced().await;
    index.completed();
}
