//! Deleting one object and no other of its name.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::answer::unless_stale;
use crate::informer::Kind;

/// Deletes this very object. `false` says that it was gone, or that another one has its name by now.
///
/// # Errors
/// Any other answer.
pub async fn delete_exactly<K: Kind>(api: &Api<K>, object: &K) -> kube::Result<bool> {
    delete_exactly_with(api, object, DeleteParams::default()).await
}

/// As [`delete_exactly`], in another way than the kind's own.
///
/// # Errors
/// Any other answer.
pub async fn delete_exactly_with<K: Kind>(
    api: &Api<K>,
    object: &K,
    how: DeleteParams,
) -> kube::Result<bool> {
    delete(api, object, None, how).await
}

/// As [`delete_exactly`], and only in the state in which it was judged: `false` also when it has changed since.
///
/// # Errors
/// Any other answer.
pub async fn delete_unchanged<K: Kind>(
    api: &Api<K>,
    object: &K,
    how: DeleteParams,
) -> kube::Result<bool> {
    let version = object.meta().resource_version.clone();
    delete(api, object, version, how).await
}

async fn delete<K: Kind>(
    api: &Api<K>,
    object: &K,
    resource_version: Option<String>,
    how: DeleteParams,
) -> kube::Result<bool> {
    let meta = object.meta();
    let how = DeleteParams {
        preconditions: Some(Preconditions {
            uid: meta.uid.clone(),
            resource_version,
        }),
        ..how
    };
    let name = meta.name.as_deref().unwrap_or_default();
    let deleted = unless_stale(api.delete(name, &how).await)?;
    Ok(deleted.is_some())
}
