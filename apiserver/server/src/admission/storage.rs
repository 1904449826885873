//! DefaultStorageClass, DefaultIngressClass, StorageObjectInUseProtection and PersistentVolumeClaimResize.

use std::sync::Arc;

use mainstay_machinery::meta;
use mainstay_machinery::quantity::Quantity;
use mainstay_machinery::status::{GroupResource, StatusError};
use serde_json::{Value, json};

use super::{Attempt, Lookup, Operation};

const DEFAULT_STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_STORAGE_BETA: &str = "storageclass.beta.kubernetes.io/is-default-class";
const DEFAULT_INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";

pub(super) fn admit(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    object: &mut Value,
) -> Result<(), StatusError> {
    let creates = attempt.operation == Operation::Create;
    if attempt.is("", "persistentvolumeclaims") {
        if creates {
            meta::add_finalizer(object, "kubernetes.io/pvc-protection");
            if object["spec"]["storageClassName"].is_null()
                && meta::annotation(object, "volume.beta.kubernetes.io/storage-class").is_none()
                && let Some(class) = default_storage_class(lookup)?
            {
                object["spec"]["storageClassName"] = json!(class);
            }
        } else {
            check_resize(lookup, attempt, object)?;
        }
    }
    if attempt.is("storage.k8s.io", "volumeattributesclasses") && creates {
        meta::add_finalizer(object, "kubernetes.io/vac-protection");
    }
    if attempt.is("", "persistentvolumes") && creates {
        meta::add_finalizer(object, "kubernetes.io/pv-protection");
    }
    if attempt.is("networking.k8s.io", "ingresses")
        && creates
        && object["spec"]["ingressClassName"].is_null()
        && meta::annotation(object, "kubernetes.io/ingress.class").is_none()
    {
        set_ingress_class(lookup, attempt, object)?;
    }
    Ok(())
}

/// Of several defaults the newest, then the first by name, as upstream.
fn default_storage_class(lookup: &Lookup) -> Result<Option<String>, StatusError> {
    let classes = lookup.list("storage.k8s.io", "storageclasses", "")?;
    let is_default = |class: &&Arc<Value>| {
        [DEFAULT_STORAGE, DEFAULT_STORAGE_BETA]
            .iter()
            .any(|name| meta::annotation(class, name) == Some("true"))
    };
    let newest = classes.iter().filter(is_default).max_by(|a, b| {
        let created = meta::creation_timestamp(a).cmp(&meta::creation_timestamp(b));
        created.then_with(|| meta::name(b).cmp(meta::name(a)))
    });
    Ok(newest.map(|class| meta::name(class).to_owned()))
}

fn set_ingress_class(
    lookup: &Lookup,
    attempt: &Attempt<'_>,
    ingress: &mut Value,
) -> Result<(), StatusError> {
    let classes = lookup.list("networking.k8s.io", "ingressclasses", "")?;
    let mut defaults = classes
        .iter()
        .filter(|class| meta::annotation(class, DEFAULT_INGRESS) == Some("true"));
    let Some(class) = defaults.next() else {
        return Ok(());
    };
    if defaults.next().is_some() {
        let ingresses = GroupResource::new("networking.k8s.io", "ingresses");
        let count = 2 + defaults.count();
        let why = format!("{count} default IngressClasses were found, only 1 allowed");
        return Err(StatusError::forbidden(ingresses, &attempt.name, &why));
    }
    ingress["spec"]["ingressClassName"] = json!(meta::name(class));
    Ok(())
}

/// Claims grow only where their class lets them.
fn check_resize(lookup: &Lookup, attempt: &Attempt<'_>, claim: &Value) -> Result<(), StatusError> {
    let size = |claim: &Value| {
        let text = claim["spec"]["resources"]["requests"]["storage"].as_str()?;
        Quantity::parse(text).ok()
    };
    let old = attempt.old.and_then(size);
    let (Some(old), Some(new)) = (old, size(claim)) else {
        return Ok(());
    };
    if new <= old {
        return Ok(());
    }
    let forbidden = |why: &str| {
        let claims = GroupResource::new("", "persistentvolumeclaims");
        Err(StatusError::forbidden(claims, &attempt.name, why))
    };
    if claim["status"]["phase"] != "Bound" {
        return forbidden("only bound persistent volume claims can be expanded");
    }
    let name = claim["spec"]["storageClassName"]
        .as_str()
        .unwrap_or_default();
    let classes = lookup.list("storage.k8s.io", "storageclasses", "")?;
    let class = classes.iter().find(|class| meta::name(class) == name);
    match class.is_some_and(|class| class["allowVolumeExpansion"] == true) {
        true => Ok(()),
        false => forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        ),
    }
}
