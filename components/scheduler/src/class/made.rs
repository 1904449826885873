//! A class: filters and scores with what they have found.

use std::sync::Arc;

use super::local::{Local, LocalPlugins};
use crate::diagnosis::Failure;
use crate::plugins::{ImageLocality, InterPodAffinity, TopologySpread};
use crate::pod::PodInfo;
use crate::snapshot::{Entry, NodeIndex, Snapshot};

/// The state of all of a snapshot.
pub(crate) type Version = (u64, u64, u64, u64);

/// What is known about pods of one make. Nothing here is trusted beyond the version it was found at.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) pod: Arc<PodInfo>,
    pub(crate) plugins: LocalPlugins,
    /// Names of the only nodes that can suit.
    pub(crate) names: Option<Vec<String>>,
    pub(crate) spread: TopologySpread,
    pub(crate) near: InterPodAffinity,
    images: ImageLocality,
    pub(crate) image_scores: Vec<i64>,
    image_version: Option<u64>,
    nodes: Vec<Local>,
    /// The next change to take note of.
    next: u64,
    namespaces_version: u64,
    selectors_version: u64,
    /// The last time none was found, and when that was.
    pub(crate) failed: Option<(Version, Arc<Failure>)>,
    pub(super) used: u64,
}

impl Class {
    pub(super) fn new(snapshot: &mut Snapshot, pod: &Arc<PodInfo>) -> Self {
        let spec = pod.spec();
        let plugins = LocalPlugins::new(pod, spec);
        let spread = TopologySpread::new(snapshot, pod, spec, &plugins.affinity, &plugins.taints);
        let near = InterPodAffinity::new(snapshot, pod);
        Self {
            names: plugins.affinity.names(),
            spread,
            near,
            images: ImageLocality::new(spec),
            image_scores: Vec::new(),
            image_version: None,
            nodes: Vec::new(),
            next: snapshot.changes.end(),
            namespaces_version: snapshot.world.namespaces_version,
            selectors_version: snapshot.world.selectors_version,
            failed: None,
            used: 0,
            pod: Arc::clone(pod),
            plugins,
        }
    }

    /// Takes note of all that has changed. False if it must be made anew.
    pub(super) fn catch_up(&mut self, snapshot: &mut Snapshot) -> bool {
        if self.namespaces_version != snapshot.world.namespaces_version {
            self.namespaces_version = snapshot.world.namespaces_version;
            if self.pod.terms.is_some() || snapshot.pods_with_terms().next().is_some() {
                return false;
            }
        }
        if self.next != snapshot.changes.end() {
            let Some(entries) = snapshot.changes.since(self.next) else {
                return false;
            };
            for entry in entries {
                self.follow(snapshot, entry);
            }
            self.next = snapshot.changes.end();
        }
        if self.selectors_version != snapshot.world.selectors_version {
            self.selectors_version = snapshot.world.selectors_version;
            let plugins = &self.plugins;
            self.spread
                .select(snapshot, &plugins.affinity, &plugins.taints);
        }
        self.settle(snapshot);
        true
    }

    fn follow(&mut self, snapshot: &Snapshot, entry: &Entry) {
        let plugins = &self.plugins;
        self.spread
            .follow(snapshot, entry, &plugins.affinity, &plugins.taints);
        self.near.follow(snapshot, entry);
    }

    pub(super) fn settle(&mut self, snapshot: &Snapshot) {
        self.spread.followed();
        self.near.followed();
        if self.image_version != Some(snapshot.images.version) {
            self.image_version = Some(snapshot.images.version);
            self.images.score(snapshot, &mut self.image_scores);
        }
        self.nodes.resize(snapshot.bound(), Local::default());
    }

    /// What a node is to the class, looked at again only if it has changed.
    pub(crate) fn local(&mut self, snapshot: &Snapshot, node: NodeIndex) -> Local {
        let known = &mut self.nodes[node];
        if known.version != snapshot.node_version(node) {
            *known = self.plugins.look(snapshot, &self.pod, node);
        }
        *known
    }

    pub(crate) fn known(&self, node: NodeIndex) -> Local {
        self.nodes[node]
    }
}
