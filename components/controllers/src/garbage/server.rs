//! What the collector asks the server and what it tells it.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::{Api, Client};
use serde_json::{Value, json};

use mainstay_client::unless_gone;

use super::graph::Identity;
use crate::discovery::{Served, ServedResources, is_absent};
use crate::limits::{GC_LIST_PAGE, GC_LISTS_AT_ONCE};

/// Why an object could not be dealt with now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Server(#[from] kube::Error),
    #[error("no resource is known for {kind} of {api_version}")]
    UnknownKind { api_version: String, kind: String },
}

type Metadata = PartialObjectMeta<DynamicObject>;

/// The server, by what discovery has found.
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) served: ServedResources,
}

impl Server {
    pub(super) fn resource(&self, api_version: &str, kind: &str) -> Result<Served, Failed> {
        let found = self.served.of_kind(api_version, kind);
        found.ok_or_else(|| Failed::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    fn api_of(&self, resource: &ApiResource, namespace: &str) -> Api<Metadata> {
        match namespace {
            "" => Api::all_with(self.client.clone(), resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, resource),
        }
    }

    fn api(&self, object: &Identity) -> Result<Api<Metadata>, Failed> {
        let served = self.resource(&object.api_version, &object.kind)?;
        Ok(self.api_of(&served.resource, &object.namespace))
    }

    /// The object as it is now; `None` if it is gone, whatever has its name now.
    pub(super) async fn get(&self, object: &Identity) -> Result<Option<ObjectMeta>, Failed> {
        match self.api(object)?.get(&object.name).await {
            Ok(found) if found.metadata.uid.as_deref() == Some(&object.uid) => {
                Ok(Some(found.metadata))
            }
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes exactly the state `seen` of an object: whoever has changed it meanwhile (given it an owner, say) is
    /// heard first.
    pub(super) async fn delete(
        &self,
        object: &Identity,
        seen: &ObjectMeta,
        policy: PropagationPolicy,
    ) -> Result<(), Failed> {
        let how = DeleteParams {
            propagation_policy: Some(policy),
            preconditions: Some(Preconditions {
                uid: seen.uid.clone(),
                resource_version: seen.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        let api = dynamic(self, object)?;
        match api.delete(&object.name, &how).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes metadata of exactly the state `seen`; an object that is gone is fine.
    async fn change(
        &self,
        object: &Identity,
        seen: &ObjectMeta,
        mut metadata: Value,
    ) -> Result<(), Failed> {
        metadata["uid"] = json!(seen.uid);
        metadata["resourceVersion"] = json!(seen.resource_version);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let api = self.api(object)?;
        let params = PatchParams::default();
        match api.patch(&object.name, &params, &patch).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn set_owners(
        &self,
        object: &Identity,
        seen: &ObjectMeta,
        owners: &[OwnerReference],
    ) -> Result<(), Failed> {
        // No list is the same as an empty one, and how others write it.
        let owners = (!owners.is_empty()).then_some(owners);
        let change = json!({ "ownerReferences": owners });
        self.change(object, seen, change).await
    }

    pub(super) async fn remove_finalizer(
        &self,
        object: &Identity,
        seen: &ObjectMeta,
        name: &str,
    ) -> Result<(), Failed> {
        let finalizers = seen.finalizers.as_deref().unwrap_or_default();
        if !finalizers.iter().any(|own| own == name) {
            return Ok(());
        }
        let rest: Vec<_> = finalizers.iter().filter(|own| *own != name).collect();
        let rest = (!rest.is_empty()).then_some(rest);
        self.change(object, seen, json!({ "finalizers": rest }))
            .await
    }

    /// All objects of a namespace that refer to an owner, as the server has them now: what is to stay after its
    /// owner went must not depend on how current the watches are.
    pub(super) async fn owned_in(
        &self,
        namespace: &str,
        uid: &str,
        resources: Vec<Served>,
    ) -> Result<Vec<(Identity, ObjectMeta)>, Failed> {
        let lists = resources.into_iter().map(|served| async move {
            let api = self.api_of(&served.resource, namespace);
            owned(&api, &served.resource, uid).await
        });
        let found: Vec<_> = stream::iter(lists)
            .buffer_unordered(GC_LISTS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

fn dynamic(server: &Server, object: &Identity) -> Result<Api<DynamicObject>, Failed> {
    let served = server.resource(&object.api_version, &object.kind)?;
    let client = server.client.clone();
    Ok(match object.namespace.as_str() {
        "" => Api::all_with(client, &served.resource),
        namespace => Api::namespaced_with(client, namespace, &served.resource),
    })
}

async fn owned(
    api: &Api<Metadata>,
    resource: &ApiResource,
    uid: &str,
) -> Result<Vec<(Identity, ObjectMeta)>, Failed> {
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(GC_LIST_PAGE);
    loop {
        let Some(page) = unless_gone(api.list(&params).await)? else {
            // The kind itself went.
            return Ok(found);
        };
        for object in page.items {
            let mut owners = object.metadata.owner_references.iter().flatten();
            if owners.any(|owner| owner.uid == uid) {
                let node = super::graph::Node::new(resource, &object.metadata);
                found.push((node.identity, object.metadata));
            }
        }
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => params = params.continue_token(&next),
            _ => return Ok(found),
        }
    }
}
