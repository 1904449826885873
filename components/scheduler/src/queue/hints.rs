//! Whether an event may help a pod, plugin by plugin: most events help nobody, and trying in vain costs others.

use super::event::Event;
use super::item::Item;
use crate::plugins::Plugin;
use crate::pod::{PodInfo, PodTerm};
use crate::selector::{Labels, Selector};
use crate::snapshot::{NodeChange, NodeIndex, Snapshot};

const ALL: [Plugin; 8] = [
    Plugin::NodeUnschedulable,
    Plugin::NodeName,
    Plugin::TaintToleration,
    Plugin::NodeAffinity,
    Plugin::NodePorts,
    Plugin::NodeResourcesFit,
    Plugin::PodTopologySpread,
    Plugin::InterPodAffinity,
];

/// Whether one of the plugins that ruled out nodes may think otherwise now.
pub(super) fn helps(item: &Item, event: Event<'_>, snapshot: &Snapshot) -> bool {
    // Nobody ruled anything out: there was no node, or it failed in some other way.
    item.plugins.is_empty()
        || ALL.into_iter().any(|plugin| {
            item.plugins.has(plugin)
                && match event {
                    Event::Node(node, change) => by_node(item, plugin, node, change, snapshot),
                    Event::NodeGone => plugin == Plugin::PodTopologySpread,
                    Event::PodPlaced(other) => by_placed(&item.info, plugin, other, snapshot),
                    Event::PodGone(other) => by_gone(&item.info, plugin, other, snapshot),
                    Event::PodChanged { old, new } => {
                        by_changed(&item.info, plugin, old, new, snapshot)
                    }
                    Event::Namespace => plugin == Plugin::InterPodAffinity,
                }
        })
}

fn by_node(
    item: &Item,
    plugin: Plugin,
    node: NodeIndex,
    change: NodeChange,
    snapshot: &Snapshot,
) -> bool {
    let local = item.local();
    let added = change.added;
    match plugin {
        Plugin::NodeUnschedulable => {
            (added || change.taints) && local.unschedulable.fits(snapshot, node)
        }
        Plugin::NodeName => added && local.name.fits(snapshot, node),
        Plugin::TaintToleration => (added || change.taints) && local.taints.fits(snapshot, node),
        Plugin::NodeAffinity => (added || change.labels) && local.affinity.fits(snapshot, node),
        Plugin::NodePorts => added && local.ports.fits(snapshot, node),
        Plugin::NodeResourcesFit => (added || change.allocatable) && local.fit.fits(snapshot, node),
        // Domains may have come, gone, or begun to count.
        Plugin::PodTopologySpread => added || change.labels || change.taints,
        Plugin::InterPodAffinity => added || change.labels,
        Plugin::NodeResourcesBalancedAllocation | Plugin::ImageLocality => false,
    }
}

fn by_placed(pod: &PodInfo, plugin: Plugin, other: &PodInfo, snapshot: &Snapshot) -> bool {
    match plugin {
        Plugin::PodTopologySpread => is_counted(pod, other),
        Plugin::InterPodAffinity => {
            let terms = pod.terms.as_deref().map(|terms| terms.affinity.as_slice());
            let mut wanted = terms.unwrap_or_default().iter();
            wanted.any(|term| wants(term, other, snapshot))
        }
        _ => false,
    }
}

fn by_gone(pod: &PodInfo, plugin: Plugin, other: &PodInfo, snapshot: &Snapshot) -> bool {
    match plugin {
        Plugin::NodePorts => {
            let mut ports = pod.ports.iter();
            ports.any(|port| other.ports.iter().any(|other| other.conflicts(port)))
        }
        Plugin::NodeResourcesFit => true,
        Plugin::PodTopologySpread => is_counted(pod, other),
        Plugin::InterPodAffinity => {
            let anti = |pod: &PodInfo, other: &PodInfo| {
                let terms = pod.terms.as_deref().map(|terms| terms.anti.as_slice());
                let mut terms = terms.unwrap_or_default().iter();
                terms.any(|term| wants(term, other, snapshot))
            };
            // The last of what it wanted may be gone, and it may be the first itself.
            let wanted = pod.terms.as_ref().is_some_and(|t| !t.affinity.is_empty());
            anti(pod, other) || anti(other, pod) || wanted
        }
        _ => false,
    }
}

fn by_changed(
    pod: &PodInfo,
    plugin: Plugin,
    old: &PodInfo,
    new: &PodInfo,
    snapshot: &Snapshot,
) -> bool {
    match plugin {
        Plugin::NodeResourcesFit => {
            new.asks.cpu < old.asks.cpu || new.asks.memory < old.asks.memory
        }
        Plugin::PodTopologySpread | Plugin::InterPodAffinity => {
            let relabelled = old.labels() != new.labels() || old.goes() != new.goes();
            relabelled
                && (by_placed(pod, plugin, new, snapshot) || by_gone(pod, plugin, old, snapshot))
        }
        _ => false,
    }
}

fn wants(term: &PodTerm, other: &PodInfo, snapshot: &Snapshot) -> bool {
    let namespace: &Labels = snapshot.world.namespace(other.namespace());
    term.matches(other.namespace(), namespace, other.labels())
}

/// Whether a constraint of the pod counts the other one.
fn is_counted(pod: &PodInfo, other: &PodInfo) -> bool {
    let constraints = pod.spec().topology_spread_constraints.as_ref();
    pod.namespace() == other.namespace()
        && constraints.into_iter().flatten().any(|constraint| {
            Selector::new(constraint.label_selector.as_ref()).matches(other.labels())
        })
}
