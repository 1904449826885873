//! What one node is to a class, as far as only that node and its pods matter.

use k8s_openapi::api::core::v1::PodSpec;

use crate::plugins::{
    NodeAffinity, NodeName, NodePorts, NodeUnschedulable, Plugins, Reason, ResourcesFit,
    TaintToleration, balanced,
};
use crate::pod::PodInfo;
use crate::snapshot::{NodeIndex, Snapshot};

/// The first filter that rules the node out, in upstream's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    #[default]
    Fits,
    Unschedulable,
    NodeName,
    Taints,
    NodeAffinity,
    Ports,
    Resources,
}

/// What was found out about a node at some version of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Local {
    /// 0 if nothing was yet.
    pub(super) version: u64,
    pub(crate) affinity: i32,
    pub(crate) taints: u16,
    pub(crate) least_allocated: u8,
    pub(crate) balanced: u8,
    pub(crate) verdict: Verdict,
}

/// Filters and scores that look at one node alone.
#[derive(Debug)]
pub(crate) struct LocalPlugins {
    pub(crate) unschedulable: NodeUnschedulable,
    pub(crate) name: NodeName,
    pub(crate) taints: TaintToleration,
    pub(crate) affinity: NodeAffinity,
    pub(crate) ports: NodePorts,
    pub(crate) fit: ResourcesFit,
}

impl LocalPlugins {
    pub(crate) fn new(pod: &PodInfo, spec: &PodSpec) -> Self {
        Self {
            unschedulable: NodeUnschedulable::new(spec),
            name: NodeName::new(spec),
            taints: TaintToleration::new(spec),
            affinity: NodeAffinity::new(spec),
            ports: NodePorts::new(pod),
            fit: ResourcesFit::new(pod),
        }
    }

    pub(crate) fn verdict(&self, snapshot: &Snapshot, node: NodeIndex) -> Verdict {
        if !self.unschedulable.fits(snapshot, node) {
            Verdict::Unschedulable
        } else if !self.name.fits(snapshot, node) {
            Verdict::NodeName
        } else if !self.taints.fits(snapshot, node) {
            Verdict::Taints
        } else if !self.affinity.fits(snapshot, node) {
            Verdict::NodeAffinity
        } else if !self.ports.fits(snapshot, node) {
            Verdict::Ports
        } else if !self.fit.fits(snapshot, node) {
            Verdict::Resources
        } else {
            Verdict::Fits
        }
    }

    pub(super) fn look(&self, snapshot: &Snapshot, pod: &PodInfo, node: NodeIndex) -> Local {
        let mut local = Local {
            version: snapshot.node_version(node),
            verdict: self.verdict(snapshot, node),
            ..Local::default()
        };
        if local.verdict == Verdict::Fits {
            let affinity = self.affinity.score(snapshot, node);
            local.affinity = i32::try_from(affinity).unwrap_or(i32::MAX);
            let taints = self.taints.avoided(snapshot, node);
            local.taints = u16::try_from(taints).unwrap_or(u16::MAX);
            let share = |score: i64| u8::try_from(score).unwrap_or(0);
            local.least_allocated = share(self.fit.least_allocated(snapshot, node));
            local.balanced = share(balanced(pod, snapshot, node));
        }
        local
    }

    /// All reasons of a verdict, and whether fewer pods there could change it.
    pub(crate) fn reasons(
        &self,
        verdict: Verdict,
        snapshot: &Snapshot,
        node: NodeIndex,
    ) -> (Vec<Reason>, bool) {
        match verdict {
            Verdict::Fits => (Vec::new(), true),
            Verdict::Unschedulable => (vec![Reason::Unschedulable], false),
            Verdict::NodeName => (vec![Reason::NodeName], false),
            Verdict::Taints => (vec![Reason::Taints], false),
            Verdict::NodeAffinity => (vec![Reason::NodeAffinity], false),
            Verdict::Ports => (vec![Reason::Ports], true),
            Verdict::Resources => self.fit.missing(snapshot, node),
        }
    }
}

/// The plugins of some reasons.
pub(crate) fn plugins<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> Plugins {
    let mut plugins = Plugins::default();
    for reason in reasons {
        plugins.add(reason.plugin());
    }
    plugins
}
