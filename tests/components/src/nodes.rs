//! Nodes of which only the objects are there.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world::World;

impl World {
    /// A node that is ready and has 4 CPUs, 8 GiB, room for 110 pods and its name as a label, and what else is given.
    pub async fn node(&self, name: &str, more: Value) {
        let mut node = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {"taints": null},
            "status": {
                "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        merge(&mut node, &more);
        let room = node["status"]["allocatable"].clone();
        node["status"]["capacity"] = room;
        let bare = serde_json::from_value(json!({"metadata": node["metadata"]})).unwrap();
        let api = self.nodes();
        api.create(&PostParams::default(), &bare).await.unwrap();
        let params = PatchParams::default();
        let status = Patch::Merge(json!({"status": node["status"]}));
        api.patch_status(name, &params, &status).await.unwrap();
        // A new node is tainted until somebody finds it ready: it can be used only now.
        self.change_node(name, json!({"spec": node["spec"]})).await;
    }

    /// Merges `patch` into a node.
    pub async fn change_node(&self, name: &str, patch: Value) {
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        self.nodes().patch(name, &params, &patch).await.unwrap();
    }

    /// A node has other room.
    pub async fn resize_node(&self, name: &str, allocatable: Value) {
        let patch = json!({"status": {"allocatable": allocatable, "capacity": allocatable}});
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        let api = self.nodes();
        api.patch_status(name, &params, &patch).await.unwrap();
    }

    /// Takes a node away.
    pub async fn remove_node(&self, name: &str) {
        let params = DeleteParams::default();
        self.nodes().delete(name, &params).await.unwrap();
    }

    #[must_use]
    pub fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }
}

/// Laid over each other: what `more` has counts.
pub fn merge(to: &mut Value, more: &Value) {
    match (to, more) {
        (Value::Object(to), Value::Object(more)) => {
            for (key, value) in more {
                merge(to.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (to, more) => *to = more.clone(),
    }
}
