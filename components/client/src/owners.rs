//! Who controls an object, and how a controller takes over what matches its selector.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};
use kube::api::{Patch, PatchParams};
use kube::core::{Selector, SelectorExt as _};
use kube::{Api, Resource};
use serde_json::{Value, json};

use crate::informer::Kind;

/// The reference by which `owner` controls an object it makes: deleting it in the foreground waits for the object.
#[must_use]
pub fn controller_ref<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    let meta = owner.meta();
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The reference of an object to its controller, if it has one.
#[must_use]
pub fn controller_of<K: Resource>(object: &K) -> Option<&OwnerReference> {
    let references = object.meta().owner_references.as_deref();
    references
        .unwrap_or_default()
        .iter()
        .find(|reference| reference.controller == Some(true))
}

/// Whether `owner` controls `object`, by uid.
#[must_use]
pub fn is_controlled_by<K: Resource, O: Resource>(object: &K, owner: &O) -> bool {
    let uid = owner.meta().uid.as_deref();
    uid.is_some() && controller_of(object).map(|reference| reference.uid.as_str()) == uid
}

/// A selector of labels; `None` selects nothing, an empty one everything. An error names what is wrong with it.
pub fn selector(selector: Option<&LabelSelector>) -> Result<Option<Selector>, String> {
    let Some(selector) = selector else {
        return Ok(None);
    };
    match Selector::try_from(selector.clone()) {
        Ok(selector) => Ok(Some(selector)),
        Err(error) => Err(format!("label selector: {error}")),
    }
}

/// Takes over and lets go, for one owner.
#[derive(Debug)]
pub struct Claim<'a, O> {
    pub owner: &'a O,
    /// The owner as the server has it now, not a cache: asked once, before the first adoption. An owner that is
    /// being deleted, or another one of its name, adopts nothing.
    pub owners: &'a Api<O>,
    pub selector: &'a Selector,
    /// Given to what is adopted, and taken from what is let go.
    pub finalizers: &'a [&'a str],
}

enum Verdict {
    Mine,
    Adopt,
    LetGo,
    Others,
}

impl<O: Kind> Claim<'_, O> {
    /// The objects that are the owner's after orphans that match were adopted and what no longer matches was let
    /// go. `api` must be that of the owner's namespace.
    ///
    /// # Errors
    /// Answers other than that the object is gone; what was done before stays.
    pub async fn claim<K: Kind>(
        &self,
        api: &Api<K>,
        candidates: Vec<Arc<K>>,
    ) -> kube::Result<Vec<Arc<K>>> {
        let mut mine = Vec::with_capacity(candidates.len());
        let mut may_adopt = None;
        for object in candidates {
            match self.verdict(object.as_ref()) {
                Verdict::Mine => mine.push(object),
                Verdict::Others => {}
                Verdict::LetGo => self.let_go(api, object.as_ref()).await?,
                Verdict::Adopt => {
                    let allowed = match may_adopt {
                        Some(allowed) => allowed,
                        None => *may_adopt.insert(self.may_adopt().await?),
                    };
                    if !allowed {
                        continue;
                    }
                    if let Some(adopted) = self.adopt(api, object.as_ref()).await? {
                        mine.push(Arc::new(adopted));
                    }
                }
            }
        }
        Ok(mine)
    }

    fn verdict<K: Kind>(&self, object: &K) -> Verdict {
        let meta = object.meta();
        let none = Default::default();
        let matches = self.selector.matches(meta.labels.as_ref().unwrap_or(&none));
        let owner_goes = self.owner.meta().deletion_timestamp.is_some();
        match controller_of(object) {
            Some(_) if !is_controlled_by(object, self.owner) => Verdict::Others,
            Some(_) if matches => Verdict::Mine,
            // What it goes with is decided already.
            Some(_) if owner_goes => Verdict::Others,
            Some(_) => Verdict::LetGo,
            None if owner_goes || !matches || meta.deletion_timestamp.is_some() => Verdict::Others,
            None => Verdict::Adopt,
        }
    }

    async fn may_adopt(&self) -> kube::Result<bool> {
        let meta = self.owner.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        let fresh = self.owners.get_opt(name).await?;
        Ok(fresh.is_some_and(|fresh| {
            fresh.meta().uid == meta.uid && fresh.meta().deletion_timestamp.is_none()
        }))
    }

    async fn adopt<K: Kind>(&self, api: &Api<K>, object: &K) -> kube::Result<Option<K>> {
        let reference = controller_ref(self.owner);
        let mut metadata = json!({"uid": object.meta().uid, "ownerReferences": [reference]});
        if !self.finalizers.is_empty() {
            metadata["finalizers"] = json!(self.finalizers);
        }
        patch(api, object, metadata).await
    }

    async fn let_go<K: Kind>(&self, api: &Api<K>, object: &K) -> kube::Result<()> {
        let uid = self.owner.meta().uid.as_deref();
        let mut metadata = json!({
            "uid": object.meta().uid,
            "ownerReferences": [{"$patch": "delete", "uid": uid}],
        });
        if !self.finalizers.is_empty() {
            metadata["$deleteFromPrimitiveList/finalizers"] = json!(self.finalizers);
        }
        patch(api, object, metadata).await.map(drop)
    }
}

/// `None` if the object is gone, or another one has its name.
async fn patch<K: Kind>(api: &Api<K>, object: &K, metadata: Value) -> kube::Result<Option<K>> {
    let name = object.meta().name.as_deref().unwrap_or_default();
    let patch = Patch::Strategic(json!({ "metadata": metadata }));
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(object) => Ok(Some(object)),
        // 422 and 409: the uid in the patch is not that of what is there.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(None),
        Err(error) => Err(error),
    }
}
