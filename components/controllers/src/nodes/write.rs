//! Changing nodes that others change as well.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;

/// Merges `patch` into a node that is still the one it was decided from.
///
/// # Errors
/// A conflict, if the node is another one by now, and whatever else the server says.
pub(crate) async fn set_spec(client: &Client, node: &Node, mut patch: Value) -> kube::Result<Node> {
    let api: Api<Node> = Api::all(client.clone());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    patch["metadata"]["resourceVersion"] = node.metadata.resource_version.clone().into();
    patch["metadata"]["uid"] = node.metadata.uid.clone().into();
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
}
