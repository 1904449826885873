//! The controller's loop. What nodes have is noted the moment it is seen; what they lack is worked on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use mainstay_client::{Change, Informer, Key, Queue, is_stale};
use parking_lot::Mutex;
use serde_json::json;

use super::ranges::Ranges;
use crate::context::Context;
use crate::limits::NODE_IPAM_WORKERS;
use crate::nodes::set_spec;

/// Gives nodes their ranges of addresses, if `--allocate-node-cidrs` says so. Panics on options that cannot be.
pub async fn node_ipam(cx: Context) {
    if !cx.options.allocate_node_cidrs {
        tracing::info!("nodes are given no addresses: --allocate-node-cidrs is not set");
        return std::future::pending().await;
    }
    let ranges = Ranges::new(&cx.options);
    let controller = Controller {
        nodes: cx.informers.of(),
        queue: cx.queue("cidrallocator_node"),
        ranges: Mutex::new(ranges.unwrap_or_else(|why| panic!("{why}"))),
        without: Mutex::default(),
        cx,
    };
    Arc::new(controller).run().await;
}

struct Controller {
    cx: Context,
    nodes: Arc<Informer<Node>>,
    queue: Queue<Key>,
    ranges: Mutex<Ranges>,
    /// Nodes for which there was nothing left.
    without: Mutex<BTreeSet<Key>>,
}

fn ranges_of(node: &Node) -> &[String] {
    let spec = node.spec.as_ref();
    let ranges = spec.and_then(|spec| spec.pod_cidrs.as_deref());
    ranges.unwrap_or_default()
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.nodes.on_for(&self, Self::changed);
        // Before anything is given, all that nodes have is known.
        self.nodes.synced().await;
        let provide = async |this: Arc<Self>, key: Key| this.provide(&key).await;
        self.queue.work_for(&self, NODE_IPAM_WORKERS, provide).await;
    }

    fn changed(&self, change: &Change<'_, Node>) {
        let node = change.object().as_ref();
        let key = Key::of(node);
        if let Change::Deleted(_) = change {
            let makes_room = self.ranges.lock().let_go(&key.name);
            self.without.lock().remove(&key);
            if makes_room {
                self.wake();
            }
            return;
        }
        // Whoever has a range already is done with at once.
        self.queue.add(key.clone());
        if ranges_of(node).is_empty() {
            return;
        }
        let own = ranges_of(node).iter().filter_map(|text| text.parse().ok());
        let own: Vec<IpNet> = own.collect();
        let mut ranges = self.ranges.lock();
        let makes_room = ranges.of(&key.name).is_some_and(|held| held != own);
        let foreign = ranges.has(&key.name, &own);
        drop(ranges);
        self.without.lock().remove(&key);
        if makes_room {
            self.wake();
        }
        if matches!(change, Change::Added(_)) && !foreign.is_empty() {
            tracing::warn!(node = key.name, ?foreign, "out of the cluster's ranges");
        }
    }

    /// There is room again.
    fn wake(&self) {
        let without = self.without.lock();
        without.iter().for_each(|key| self.queue.add(key.clone()));
    }

    async fn provide(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let node = self.nodes.cache().get(key);
        let Some(node) = node.filter(|node| ranges_of(node).is_empty()) else {
            return Ok(None);
        };
        let tell = |status: &str| {
            let text = format!("Node {} status is now: {status}", key.name);
            self.cx.events.normal(node.as_ref(), status, text);
        };
        let Some(given) = self.give(key) else {
            tell("CIDRNotAvailable");
            return Ok(None);
        };
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        let patch = json!({"spec": {"podCIDR": given.first(), "podCIDRs": given}});
        match set_spec(&self.cx.client, &node, patch).await {
            Ok(_) => Ok(None),
            // It stays noted what the node is given: an event brings it here again, or tells that it is gone.
            Err(error) if is_stale(&error) => {
                if self.nodes.cache().get(key).is_none() {
                    self.ranges.lock().let_go(&key.name);
                    self.wake();
                }
                Ok(None)
            }
            Err(error) => {
                tell("CIDRAssignmentFailed");
                Err(error)
            }
        }
    }

    fn give(&self, key: &Key) -> Option<Vec<IpNet>> {
        let mut ranges = self.ranges.lock();
        let given = ranges.give(&key.name);
        // Under the same lock: whoever makes room next finds who waits for it.
        let mut without = self.without.lock();
        match given {
            Some(_) => without.remove(key),
            None => without.insert(key.clone()),
        };
        given
    }
}
