//! How many pods there should be, asked of what controls them.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::DynamicObject;
use kube::{Api, Client, Resource};
use mainstay_client::{Informer, Key, Kind, controller_of, unless_gone};

use super::failed::Failed;
use crate::context::Context;
use crate::discovery::{Served, ServedResources};

/// What controls pods.
pub(super) struct Owners {
    client: Client,
    served: ServedResources,
    pub(super) replica_sets: Arc<Informer<ReplicaSet>>,
    pub(super) deployments: Arc<Informer<Deployment>>,
    pub(super) replication_controllers: Arc<Informer<ReplicationController>>,
    pub(super) stateful_sets: Arc<Informer<StatefulSet>>,
}

/// What the owners of some pods ask for together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) pods: i32,
    /// Whether some pods have no owner that could be asked.
    pub(super) unmanaged: bool,
}

/// A controller's uid and how many pods it is to have.
type Wish = (String, i32);

impl Owners {
    pub(super) fn new(cx: &Context) -> Self {
        Self {
            client: cx.client.clone(),
            served: ServedResources::default(),
            replica_sets: cx.informers.of(),
            deployments: cx.informers.of(),
            replication_controllers: cx.informers.of(),
            stateful_sets: cx.informers.of(),
        }
    }

    pub(super) async fn synced(&self) {
        self.replica_sets.synced().await;
        self.deployments.synced().await;
        self.replication_controllers.synced().await;
        self.stateful_sets.synced().await;
    }

    /// The sum over all controllers of these pods; each counts once.
    pub(super) async fn scale(&self, pods: &[Arc<Pod>]) -> Result<Scale, Failed> {
        let mut unmanaged = false;
        let mut asked: HashMap<&str, Wish> = HashMap::new();
        for pod in pods {
            let Some(reference) = controller_of(pod.as_ref()) else {
                unmanaged = true;
                continue;
            };
            if asked.contains_key(reference.uid.as_str()) {
                continue;
            }
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let Some(wish) = self.wish(reference, namespace).await? else {
                let name = pod.metadata.name.clone().unwrap_or_default();
                return Err(Failed::NoController(name));
            };
            asked.insert(&reference.uid, wish);
        }
        // Several replica sets of one deployment have one wish.
        let wishes: HashMap<String, i32> = asked.into_values().collect();
        let pods = wishes.into_values().fold(0_i32, i32::saturating_add);
        Ok(Scale { pods, unmanaged })
    }

    async fn wish(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<Wish>, Failed> {
        if let Some(wish) = self.known(owner, namespace) {
            return Ok(Some(wish));
        }
        self.subresource(owner, namespace).await
    }

    /// From the caches; the numbers of replicas have a default and are always there.
    fn known(&self, owner: &OwnerReference, namespace: &str) -> Option<Wish> {
        let group = group_of(&owner.api_version);
        let wish = |replicas: Option<i32>| Some((owner.uid.clone(), replicas.unwrap_or(1)));
        match (group, owner.kind.as_str()) {
            ("apps" | "extensions", "ReplicaSet") => {
                let set = find(&self.replica_sets, namespace, owner)?;
                match controller_of(set.as_ref()).filter(|above| above.kind == "Deployment") {
                    Some(above) => self.deployment(above, namespace),
                    None => wish(set.spec.as_ref()?.replicas),
                }
            }
            ("apps", "StatefulSet") => {
                let set = find(&self.stateful_sets, namespace, owner)?;
                wish(set.spec.as_ref()?.replicas)
            }
            ("", "ReplicationController") => {
                let controller = find(&self.replication_controllers, namespace, owner)?;
                wish(controller.spec.as_ref()?.replicas)
            }
            _ => None,
        }
    }

    fn deployment(&self, owner: &OwnerReference, namespace: &str) -> Option<Wish> {
        if !matches!(group_of(&owner.api_version), "apps" | "extensions") {
            return None;
        }
        let deployment = find(&self.deployments, namespace, owner)?;
        let replicas = deployment.spec.as_ref()?.replicas;
        Some((owner.uid.clone(), replicas.unwrap_or(1)))
    }

    /// Of any other kind, or one that the caches do not show: asked of the server.
    async fn subresource(
        &self,
        owner: &OwnerReference,
        namespace: &str,
    ) -> Result<Option<Wish>, Failed> {
        let served = self.served(owner).await?;
        if !served.scales {
            let resource = &served.resource;
            return Err(Failed::NotScaled(match resource.group.as_str() {
                "" => resource.plural.clone(),
                group => format!("{}.{group}", resource.plural),
            }));
        }
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &served.resource);
        let Some(scale) = unless_gone(api.get_scale(&owner.name).await)? else {
            return Ok(None);
        };
        if scale.metadata.uid.as_deref() != Some(&owner.uid) {
            return Ok(None);
        }
        let replicas = scale.spec.and_then(|spec| spec.replicas);
        Ok(Some((owner.uid.clone(), replicas.unwrap_or(0))))
    }

    async fn served(&self, owner: &OwnerReference) -> Result<Served, Failed> {
        let known = || self.served.of_kind(&owner.api_version, &owner.kind);
        if let Some(served) = known() {
            return Ok(served);
        }
        self.served.refresh(&self.client).await?;
        known().ok_or_else(|| Failed::UnknownKind {
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
        })
    }
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// The object that a reference means, if it is still the same one.
fn find<K: Kind + Resource<Scope = NamespaceResourceScope>>(
    informer: &Informer<K>,
    namespace: &str,
    owner: &OwnerReference,
) -> Option<Arc<K>> {
    let found = informer.cache().get(&Key::new(namespace, &owner.name))?;
    (found.meta().uid.as_deref() == Some(&owner.uid)).then_some(found)
}
