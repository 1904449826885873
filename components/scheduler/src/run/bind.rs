//! Writing decisions down, off the path on which they are made.

use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use mainstay_client::Key;

/// What became of a binding.
#[derive(Debug)]
pub(super) enum Outcome {
    Bound,
    /// The pod is gone, or another one has its name.
    Gone,
    /// Not bound, or not known to be: also if somebody else has bound it, which its informer will show.
    Failed(String),
}

#[derive(Debug)]
pub(super) struct Done {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) node: String,
    pub(super) outcome: Outcome,
}

/// Binds this pod and no other of its name to a node.
pub(super) async fn bind(client: Client, key: Key, uid: String, node: String) -> Done {
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: Some(uid.clone()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.clone()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(client, &key.namespace);
    let answer: kube::Result<serde_json::Value> = api
        .create_subresource("binding", &key.name, &PostParams::default(), &binding)
        .await;
    let outcome = match answer {
        Ok(_) => Outcome::Bound,
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(kube::Error::Api(status)) => Outcome::Failed(status.message.clone()),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    Done {
        key,
        uid,
        node,
        outcome,
    }
}
