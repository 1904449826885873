//! Which objects a node's pods use. Edges lead from objects towards nodes:
//!
//! ```text
//! secret, configmap, service account, resource claim, volume claim → pod → node
//! persistent volume → volume claim;   secret → persistent volume
//! volume attachment, resource slice, pod certificate request → node
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::reference::pod_references;
use crate::limits::GRAPH_STEPS_MAX;

/// What a vertex stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the kinds of the API by their names")]
pub enum ObjectKind {
    ConfigMap,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PodCertificateRequest,
    ResourceClaim,
    ResourceSlice,
    Secret,
    ServiceAccount,
    VolumeAttachment,
}

/// An object: kind, namespace (empty if it has none) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Vertex {
    kind: ObjectKind,
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Vertex {
    fn new(kind: ObjectKind, namespace: &str, name: &str) -> Vertex {
        Vertex {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// The graph. Plain data: the owner guards it and feeds it changes.
#[derive(Debug, Default)]
pub struct NodeGraph {
    /// From an object to what uses it, with the number of reasons (a pod may be the reason for one edge only,
    /// but two volumes may refer to one claim).
    uses: HashMap<Vertex, HashMap<Vertex, u32>>,
    /// The edges each owner (pod, volume, attachment …) has added, to take them back.
    owned: HashMap<Vertex, Vec<(Vertex, Vertex)>>,
    /// For objects that only pods use, how many pods of each node use them: most questions end here.
    nodes: HashMap<Vertex, HashMap<Arc<str>, u32>>,
}

impl NodeGraph {
    /// Takes in an object of a plural resource that was added, changed or, with `gone`, deleted. Resources that
    /// have no place in the graph are passed over.
    pub fn apply(&mut self, resource: &str, object: &Value, gone: bool) {
        let kind = match resource {
            "pods" => ObjectKind::Pod,
            "persistentvolumes" => ObjectKind::PersistentVolume,
            "volumeattachments" => ObjectKind::VolumeAttachment,
            "resourceslices" => ObjectKind::ResourceSlice,
            "podcertificaterequests" => ObjectKind::PodCertificateRequest,
            _ => return,
        };
        if gone {
            let text = |pointer: &str| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            self.remove(kind, text("/metadata/namespace"), text("/metadata/name"));
            return;
        }
        match kind {
            ObjectKind::Pod => self.set_pod(object),
            ObjectKind::PersistentVolume => self.set_persistent_volume(object),
            other => self.set_on_node(other, object),
        }
    }

    /// A pod was added or changed.
    pub fn set_pod(&mut self, pod: &Value) {
        let text = |pointer: &str| {
            pod.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let node = text("/spec/nodeName");
        let owner = Vertex::new(ObjectKind::Pod, namespace, name);
        if node.is_empty() {
            self.take_back(&owner);
            return;
        }
        let mut edges = vec![(owner.clone(), Vertex::new(ObjectKind::Node, "", node))];
        for (kind, name) in pod_references(pod) {
            edges.push((
                Vertex {
                    kind,
                    namespace: owner.namespace.clone(),
                    name: name.into(),
                },
                owner.clone(),
            ));
        }
        self.replace(owner, edges);
    }

    /// A persistent volume was added or changed.
    pub fn set_persistent_volume(&mut self, volume: &Value) {
        let text = |pointer: &str| {
            volume
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let owner = Vertex::new(ObjectKind::PersistentVolume, "", text("/metadata/name"));
        let (namespace, claim) = (
            text("/spec/claimRef/namespace"),
            text("/spec/claimRef/name"),
        );
        if claim.is_empty() {
            self.take_back(&owner);
            return;
        }
        let mut edges = vec![(
            owner.clone(),
            Vertex::new(ObjectKind::PersistentVolumeClaim, namespace, claim),
        )];
        for (namespace, name) in volume_secrets(volume, namespace) {
            edges.push((
                Vertex::new(ObjectKind::Secret, &namespace, &name),
                owner.clone(),
            ));
        }
        self.replace(owner, edges);
    }

    /// A volume attachment, resource slice or pod certificate request was added or changed: an object that one
    /// node may read.
    pub fn set_on_node(&mut self, kind: ObjectKind, object: &Value) {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let owner = Vertex::new(kind, text("/metadata/namespace"), text("/metadata/name"));
        let node = text("/spec/nodeName");
        let edge = (owner.clone(), Vertex::new(ObjectKind::Node, "", node));
        let edges = if node.is_empty() {
            Vec::new()
        } else {
            vec![edge]
        };
        self.replace(owner, edges);
    }

    /// An object is gone.
    pub fn remove(&mut self, kind: ObjectKind, namespace: &str, name: &str) {
        self.take_back(&Vertex::new(kind, namespace, name));
    }

    /// True if one of the node's pods uses the object, or the object is the node's own.
    pub fn reaches(&self, node: &str, kind: ObjectKind, namespace: &str, name: &str) -> bool {
        let start = Vertex::new(kind, namespace, name);
        if self
            .nodes
            .get(&start)
            .is_some_and(|nodes| nodes.contains_key(node))
        {
            return true;
        }
        // Only objects behind a persistent volume need a walk.
        if !matches!(kind, ObjectKind::Secret | ObjectKind::PersistentVolume) {
            return false;
        }
        let (mut seen, mut open) = (HashSet::new(), vec![&start]);
        let mut steps = 0;
        while let Some(vertex) = open.pop() {
            for next in self.uses.get(vertex).into_iter().flat_map(HashMap::keys) {
                steps += 1;
                if steps > GRAPH_STEPS_MAX {
                    return false;
                }
                if self
                    .nodes
                    .get(next)
                    .is_some_and(|nodes| nodes.contains_key(node))
                {
                    return true;
                }
                // A pod's node is in the index, so nothing lies behind a pod.
                if next.kind != ObjectKind::Pod
                    && next.kind != ObjectKind::Node
                    && seen.insert(next)
                {
                    open.push(next);
                }
            }
        }
        false
    }

    /// How many objects have edges; for metrics and tests.
    pub fn len(&self) -> usize {
        self.uses.len()
    }

    /// True if no object has edges.
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    fn replace(&mut self, owner: Vertex, edges: Vec<(Vertex, Vertex)>) {
        if self.owned.get(&owner) == Some(&edges) {
            return;
        }
        self.take_back(&owner);
        if edges.is_empty() {
            return;
        }
        for (from, to) in &edges {
            *self
                .uses
                .entry(from.clone())
                .or_default()
                .entry(to.clone())
                .or_default() += 1;
        }
        let node = node_of(&edges);
        for from in indexed(&edges, node.as_ref()) {
            let node = node
                .clone()
                .expect("only edges of an owner on a node are indexed");
            *self
                .nodes
                .entry(from.clone())
                .or_default()
                .entry(node)
                .or_default() += 1;
        }
        self.owned.insert(owner, edges);
    }

    fn take_back(&mut self, owner: &Vertex) {
        let Some(edges) = self.owned.remove(owner) else {
            return;
        };
        for (from, to) in &edges {
            take_one(&mut self.uses, from, to);
        }
        let node = node_of(&edges);
        for from in indexed(&edges, node.as_ref()) {
            let node = node
                .as_ref()
                .expect("only edges of an owner on a node are indexed");
            take_one(&mut self.nodes, from, node);
        }
    }
}

/// The node that an owner is on.
fn node_of(edges: &[(Vertex, Vertex)]) -> Option<Arc<str>> {
    edges
        .iter()
        .find(|(_, to)| to.kind == ObjectKind::Node)
        .map(|(_, to)| to.name.clone())
}

/// The objects whose edges lead to the one node, each as often as it has such an edge.
fn indexed<'e>(
    edges: &'e [(Vertex, Vertex)],
    node: Option<&Arc<str>>,
) -> impl Iterator<Item = &'e Vertex> {
    let edges = if node.is_some() { edges } else { &[] };
    edges.iter().map(|(from, _)| from)
}

/// Takes one off a count and drops what reaches zero.
fn take_one<K: Eq + std::hash::Hash>(
    counts: &mut HashMap<Vertex, HashMap<K, u32>>,
    from: &Vertex,
    to: &K,
) {
    let Some(own) = counts.get_mut(from) else {
        return;
    };
    if let Some(count) = own.get_mut(to) {
        *count -= 1;
        if *count == 0 {
            own.remove(to);
        }
    }
    if own.is_empty() {
        counts.remove(from);
    }
}

/// The secrets of a volume that a kubelet must read: namespace and name. Where the volume gives no namespace,
/// it is the claim's.
fn volume_secrets(volume: &Value, claim_namespace: &str) -> Vec<(String, String)> {
    let spec = volume.get("spec").unwrap_or(&Value::Null);
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let mut out = Vec::new();
    if let Some(name) = text(spec, "/azureFile/secretName") {
        let namespace = text(spec, "/azureFile/secretNamespace");
        out.push((
            namespace.unwrap_or_else(|| claim_namespace.to_owned()),
            name,
        ));
    }
    // For a flex volume without a namespace the claim's counts, as for the others.
    let mut references: Vec<String> = [
        "cephfs",
        "cinder",
        "flexVolume",
        "rbd",
        "scaleIO",
        "iscsi",
        "storageos",
    ]
    .iter()
    .map(|source| format!("/{source}/secretRef"))
    .collect();
    references.extend(
        [
            "nodePublishSecretRef",
            "nodeStageSecretRef",
            "nodeExpandSecretRef",
        ]
        .map(|key| format!("/csi/{key}")),
    );
    for reference in references
        .iter()
        .filter_map(|pointer| spec.pointer(pointer))
    {
        if let Some(name) = text(reference, "/name") {
            let namespace = text(reference, "/namespace");
            out.push((
                namespace.unwrap_or_else(|| claim_namespace.to_owned()),
                name,
            ));
        }
    }
    out
}
