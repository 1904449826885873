//! Deleting one object and no other of its name.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::informer::Kind;

/// Deletes this very object. `false` says that it was gone, or that another one has its name by now.
///
/// # Errors
/// Any other answer.
pub async fn delete_exactly<K: Kind>(api: &Api<K>, object: &K) -> kube::Result<bool> {
    let meta = object.meta();
    let how = DeleteParams {
        preconditions: Some(Preconditions {
            uid: meta.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let name = meta.name.as_deref().unwrap_or_default();
    match api.delete(name, &how).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        answer => answer.map(|_| true),
    }
}
