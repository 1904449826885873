//! The snapshot itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, ReplicationController, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use mainstay_client::Key;

use super::changes::Changes;
use super::columns::Columns;
use super::images::Images;
use super::order::interleaved;
use super::taints::{TaintSet, Taints};
use super::topology::{Topology, TopologyId};
use super::world::{OwnerKind, World};
use crate::pod::{HostPort, PodInfo};
use crate::selector::Selector;

/// The place of a node in all columns, used again when the node is gone.
pub type NodeIndex = usize;

/// All that decisions are made from.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(crate) columns: Columns,
    pub(crate) taints: Taints,
    pub(crate) images: Images,
    pub(crate) changes: Changes,
    pub(crate) world: World,
    /// Names of nodes; also of those that only pods speak of.
    pub(super) indexes: HashMap<String, NodeIndex>,
    pub(super) free: Vec<NodeIndex>,
    pub(super) names: Vec<String>,
    /// `None` if no such node is there, though pods may say they are on it.
    pub(super) objects: Vec<Option<Arc<Node>>>,
    pub(super) unschedulable: Vec<bool>,
    pub(super) taint_sets: Vec<TaintSet>,
    pub(super) ports: Vec<Vec<HostPort>>,
    /// Priorities of the pods of each node, and how many have each.
    pub(super) priorities: Vec<BTreeMap<i32, u32>>,
    /// Raised with every change of a node or of its pods.
    pub(super) versions: Vec<u64>,
    pub(super) version: u64,
    pub(super) topologies: Vec<Topology>,
    /// Uids of the pods of each node.
    pub(super) pods_of: Vec<HashSet<String>>,
    pub(super) pods: HashMap<String, Placed>,
    pub(super) pods_by_namespace: HashMap<String, HashSet<String>>,
    /// Pods that want or avoid others.
    pub(super) pods_with_terms: HashSet<String>,
    pub(super) came: Vec<NodeIndex>,
    pub(super) order: Vec<NodeIndex>,
    pub(super) order_is_old: bool,
}

/// A pod at a node.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) info: Arc<PodInfo>,
    pub(super) node: NodeIndex,
    /// Assigned by us, and not yet seen there.
    pub(super) assumed: bool,
}

impl Snapshot {
    /// The place of a node that is there.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<NodeIndex> {
        let index = *self.indexes.get(name)?;
        self.objects[index].is_some().then_some(index)
    }

    #[must_use]
    pub fn name(&self, node: NodeIndex) -> &str {
        &self.names[node]
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.came.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.came.is_empty()
    }

    pub(crate) fn object(&self, node: NodeIndex) -> Option<&Arc<Node>> {
        self.objects[node].as_ref()
    }

    pub(crate) fn labels(&self, node: NodeIndex) -> Option<&BTreeMap<String, String>> {
        self.objects[node].as_ref()?.metadata.labels.as_ref()
    }

    pub(crate) fn is_unschedulable(&self, node: NodeIndex) -> bool {
        self.unschedulable[node]
    }

    pub(crate) fn taint_set(&self, node: NodeIndex) -> TaintSet {
        self.taint_sets[node]
    }

    pub(crate) fn ports(&self, node: NodeIndex) -> &[HostPort] {
        &self.ports[node]
    }

    /// Places that nodes may have.
    pub(crate) fn bound(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn node_version(&self, node: NodeIndex) -> u64 {
        self.versions[node]
    }

    /// Another number after every change of anything.
    pub(crate) fn version(&self) -> (u64, u64, u64, u64) {
        let world = &self.world;
        (
            self.version,
            self.images.version,
            world.namespaces_version,
            world.selectors_version,
        )
    }

    /// The least priority of the pods at a node.
    pub(crate) fn least_priority(&self, node: NodeIndex) -> Option<i32> {
        self.priorities[node].keys().next().copied()
    }

    pub(super) fn touch(&mut self, node: NodeIndex) {
        self.version += 1;
        self.versions[node] = self.version;
    }

    /// Nodes in the order to look at them in; call [`Snapshot::settle`] before.
    pub(crate) fn order(&self) -> &[NodeIndex] {
        &self.order
    }

    /// Brings what is computed late up to date.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.order_is_old) {
            self.order = interleaved(self, &self.came);
        }
    }

    /// The number of a topology; its column is made if nobody has asked for it before.
    pub(crate) fn topology_id(&mut self, key: &str) -> TopologyId {
        self.known_topology(key).unwrap_or_else(|| {
            let mut topology = Topology::new(key, self.names.len());
            for (node, object) in self.objects.iter().enumerate() {
                let labels = object.as_ref().and_then(|o| o.metadata.labels.as_ref());
                let value = labels.and_then(|labels| labels.get(key));
                topology.set(node, value.map(String::as_str));
            }
            self.topologies.push(topology);
            self.topologies.len() - 1
        })
    }

    pub(crate) fn known_topology(&self, key: &str) -> Option<TopologyId> {
        self.topologies.iter().position(|one| one.key == key)
    }

    pub(crate) fn topology(&self, id: TopologyId) -> &Topology {
        &self.topologies[id]
    }

    pub fn set_namespace(&mut self, namespace: &Namespace) {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let labels = namespace.metadata.labels.clone();
        self.world.set_namespace(name, Some(labels));
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.world.set_namespace(name, None);
    }

    /// A service, for default spreading; one without a selector is as good as none.
    pub fn set_service(&mut self, key: &Key, service: Option<&Service>) {
        let spec = service.and_then(|service| service.spec.as_ref());
        let selector = spec.and_then(|spec| spec.selector.clone());
        let selector = selector.filter(|selector| !selector.is_empty());
        self.world.set_service(key, selector);
    }

    /// What selects the pods of a replica set or stateful set; `None` if it is gone.
    pub fn set_owner(&mut self, kind: OwnerKind, key: &Key, selector: Option<&LabelSelector>) {
        let selector = selector.map(|selector| Selector::new(Some(selector)));
        self.world.set_owner(kind, key, selector);
    }

    /// As [`Snapshot::set_owner`], for a replication controller.
    pub fn set_replication_controller(
        &mut self,
        key: &Key,
        controller: Option<&ReplicationController>,
    ) {
        let selector = controller.map(|controller| {
            let spec = controller.spec.as_ref();
            Selector::labels(spec.and_then(|s| s.selector.as_ref()).into_iter().flatten())
        });
        self.world
            .set_owner(OwnerKind::ReplicationController, key, selector);
    }
}
