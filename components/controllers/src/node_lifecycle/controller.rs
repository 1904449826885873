//! The controller's loops: one looks at all nodes now and then, the other follows each change of a node.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use kube::Api;
use kube::api::{Patch, PatchParams};
use mainstay_client::limits::WATCH_PAUSE_MAX;
use mainstay_client::{Informer, Key, Queue, is_stale, unless_stale};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::figures::Figures;
use super::health::{Heard, Patience, unknown};
use super::marks::{evicting_taints, evicts, sparing_taints, wanted_labels, wanted_taints};
use super::pods::make_unready;
use super::sight::Sight;
use super::turns::Turns;
use super::zones::{Count, Rules, Turn, Zones};
use crate::context::Context;
use crate::discovery::is_absent;
use crate::limits::{NODE_PROBE_TIMEOUT, NODE_WORKERS, NODE_WRITES_AT_ONCE};
use crate::nodes::{by_node, is_ready, pods_of, ready_status, set_spec, zone};

const LEASES: &str = "kube-node-lease";
/// With this label a node does not count when it is judged how bad it is in its zone.
const NOT_COUNTED: &str = "node.kubernetes.io/exclude-disruption";

/// Says which nodes are well, by conditions and taints.
pub async fn node_lifecycle(cx: Context) {
    let (nodes, pods) = (cx.informers.of::<Node>(), cx.informers.of::<Pod>());
    let leases = cx.informers.of::<Lease>();
    by_node(&pods);
    let marker = Arc::new(Marker {
        queue: cx.queue("node_lifecycle_controller"),
        nodes: Arc::clone(&nodes),
        cx: cx.clone(),
    });
    let marking = marker.run();
    nodes.synced().await;
    pods.synced().await;
    leases.synced().await;
    let options = &cx.options;
    let rules = Rules {
        rate: options.node_eviction_rate,
        secondary_rate: options.secondary_node_eviction_rate,
        large: options.large_cluster_size_threshold,
        unhealthy: options.unhealthy_zone_threshold,
    };
    let monitor = Monitor {
        patience: Patience {
            grace: options.node_monitor_grace_period,
            startup: options.node_startup_grace_period,
        },
        zones: Zones::new(rules),
        figures: Figures::new(&cx.metrics),
        known: HashMap::new(),
        heard: HashMap::new(),
        turns: HashMap::new(),
        sight: Sight::default(),
        nodes,
        pods,
        leases,
        cx,
    };
    tokio::join!(monitor.run(), marking);
}

/// Gives nodes the taints and labels that follow from what is written in them.
struct Marker {
    cx: Context,
    nodes: Arc<Informer<Node>>,
    queue: Queue<Key>,
}

impl Marker {
    async fn run(self: Arc<Self>) {
        self.nodes.names_of(&self.queue, |_| true);
        let mark = async |this: Arc<Self>, key: Key| this.mark(&key).await;
        self.queue.work_for(&self, NODE_WORKERS, mark).await;
    }

    async fn mark(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(node) = self.nodes.cache().get(key) else {
            return Ok(None);
        };
        let mut patch = json!({});
        if let Some(taints) = wanted_taints(&node, Timestamp::now()) {
            patch["spec"]["taints"] = json!(taints);
        }
        let labels = wanted_labels(&node);
        if !labels.is_empty() {
            patch["metadata"]["labels"] = json!(labels);
        }
        if patch == json!({}) {
            return Ok(None);
        }
        // One that has changed is brought here again by an event.
        unless_stale(set_spec(&self.cx.client, &node, patch).await)?;
        Ok(None)
    }
}

/// Listens to nodes.
struct Monitor {
    cx: Context,
    nodes: Arc<Informer<Node>>,
    pods: Arc<Informer<Pod>>,
    leases: Arc<Informer<Lease>>,
    patience: Patience,
    /// As of the last round.
    known: HashMap<String, Arc<Node>>,
    heard: HashMap<String, Heard>,
    sight: Sight,
    zones: Zones,
    /// By zone.
    turns: HashMap<String, Turns>,
    figures: Figures,
}

impl Monitor {
    async fn run(mut self) {
        let period = self.cx.options.node_monitor_period;
        let rounds = self.cx.rounds("node_lifecycle_monitor", period);
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = Instant::now();
            let next = self
                .turns
                .values()
                .filter_map(|turns| turns.next(now))
                .min();
            tokio::select! {
                biased;
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {
                    rounds.round(self.taint()).await;
                }
                _ = ticks.tick() => {
                    let began = Instant::now();
                    rounds.round(self.round(began)).await;
                    self.sight.end(Instant::now());
                    self.figures.round.observe(began.elapsed().as_secs_f64());
                }
            }
        }
    }

    async fn round(&mut self, now: Instant) {
        let nodes = self.nodes.cache().all();
        self.meet(&nodes);
        let late = self.cx.options.node_monitor_period + self.patience.grace / 2;
        let mut forgive = self.sight.begin(now, late);
        let silent = self.listen(&nodes, now);
        if let Some(suspect) = silent.first() {
            let answers = self.answers(suspect).await;
            forgive |= self.sight.answered(answers);
        }
        if forgive {
            // By then the watches are back as well.
            self.forgive(now + WATCH_PAUSE_MAX);
        }
        if self.sight.is_blind() {
            tracing::warn!("the apiserver does not answer: no node is judged");
            return;
        }
        let lost = self.give_up(&silent, now).await;
        self.unready(&nodes, &lost).await;
        self.judge_zones(&nodes, &lost, now).await;
        self.line_up(&nodes);
    }

    /// Tells who is new and who is gone.
    fn meet(&mut self, nodes: &[Arc<Node>]) {
        let mut gone = std::mem::take(&mut self.known);
        for node in nodes {
            let name = node.metadata.name.clone().unwrap_or_default();
            if gone.remove(&name).is_none() {
                let text = format!("Node {name} event: Registered Node {name} in Controller");
                self.cx.events.normal(node.as_ref(), "RegisteredNode", text);
            }
            self.known.insert(name, Arc::clone(node));
        }
        for (name, node) in gone {
            self.heard.remove(&name);
            let text = format!("Node {name} event: Removing Node {name} from Controller");
            self.cx.events.normal(node.as_ref(), "RemovingNode", text);
        }
    }

    /// Nodes that are not known to be silent and from which nothing was heard for half of their time at least.
    fn listen(&mut self, nodes: &[Arc<Node>], now: Instant) -> Vec<Arc<Node>> {
        let mut silent = Vec::new();
        for node in nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let lease = self.leases.cache().get(&Key::new(LEASES, name));
            let lease = lease.as_deref();
            let heard = self.heard.entry(name.to_owned());
            let heard = heard.or_insert_with(|| Heard::first(node, lease, now));
            heard.look(node, lease, now);
            let is_known = ready_status(node) == Some("Unknown");
            if !is_known && heard.silence(now) > self.patience.with(node) / 2 {
                silent.push(Arc::clone(node));
            }
        }
        silent
    }

    /// Whether the apiserver answers questions about nodes.
    async fn answers(&self, node: &Node) -> bool {
        let api: Api<Node> = Api::all(self.cx.client.clone());
        let name = node.metadata.name.as_deref().unwrap_or_default();
        // What takes long to answer may take long to tell what happened.
        let wait = NODE_PROBE_TIMEOUT.min(self.patience.grace / 5);
        match timeout(wait, api.get_metadata(name)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => is_absent(&error),
            Err(_) => false,
        }
    }

    fn forgive(&mut self, now: Instant) {
        self.heard.values_mut().for_each(|heard| heard.forgive(now));
    }

    /// Writes that nodes are silent which are so for too long; returns the names of those of which it is written.
    async fn give_up(&mut self, silent: &[Arc<Node>], now: Instant) -> BTreeSet<String> {
        let api: Api<Node> = Api::all(self.cx.client.clone());
        let mut under_way = FuturesUnordered::new();
        let mut lost = Vec::new();
        for node in silent {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let heard = self.heard.get(name);
            if heard.is_none_or(|heard| heard.silence(now) <= self.patience.with(node)) {
                continue;
            }
            if under_way.len() >= NODE_WRITES_AT_ONCE {
                lost.extend(under_way.next().await.flatten());
            }
            let conditions = unknown(node, Timestamp::now());
            under_way.push(give_one_up(&api, node, conditions));
        }
        while let Some(written) = under_way.next().await {
            lost.extend(written);
        }
        let mut names = BTreeSet::new();
        for node in lost {
            let name = node.metadata.name.clone().unwrap_or_default();
            if let Some(heard) = self.heard.get_mut(&name) {
                heard.wrote(&node);
            }
            let text = format!("Node {name} status is now: NodeNotReady");
            self.cx.events.normal(&node, "NodeNotReady", text);
            names.insert(name);
        }
        names
    }

    /// A node that says itself that it is not ready has a kubelet that speaks for its pods; a silent one has not.
    async fn unready(&self, nodes: &[Arc<Node>], lost: &BTreeSet<String>) {
        for node in nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            if ready_status(node) == Some("Unknown") || lost.contains(name) {
                let pods = pods_of(self.pods.cache(), name);
                make_unready(&self.cx.client, &self.cx.events, pods).await;
            }
        }
    }

    async fn judge_zones(&mut self, nodes: &[Arc<Node>], lost: &BTreeSet<String>, now: Instant) {
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for node in nodes {
            let labels = node.metadata.labels.as_ref();
            if labels.is_some_and(|labels| labels.contains_key(NOT_COUNTED)) {
                continue;
            }
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let count = counts.entry(zone(node)).or_default();
            match is_ready(node) && !lost.contains(name) {
                true => count.ready += 1,
                false => count.not_ready += 1,
            }
        }
        match self.zones.look(counts) {
            Turn::Stops => tracing::info!("no node is ready: evictions stop"),
            Turn::Resumes => {
                tracing::info!("some nodes are ready: evictions go on");
                self.forgive(now);
            }
            Turn::Nothing => {}
        }
        if self.zones.are_stopped() {
            self.spare(nodes).await;
        }
        self.figures.zones(self.zones.counts());
    }

    /// Nobody is to be evicted from any node.
    async fn spare(&self, nodes: &[Arc<Node>]) {
        for node in nodes {
            if let Some(taints) = sparing_taints(node) {
                self.write_taints(node, taints).await;
            }
        }
    }

    /// Those that are to be tainted wait for their turn, each in its zone.
    fn line_up(&mut self, nodes: &[Arc<Node>]) {
        let mut waiting: HashMap<String, BTreeSet<String>> = HashMap::new();
        for node in nodes {
            let in_zone = waiting.entry(zone(node)).or_default();
            let is_down = matches!(ready_status(node), Some("False" | "Unknown"));
            if is_down && !evicts(node) {
                in_zone.insert(node.metadata.name.clone().unwrap_or_default());
            }
        }
        self.turns.retain(|zone, _| waiting.contains_key(zone));
        for (zone, nodes) in waiting {
            let rate = self.zones.rate(&zone);
            let turns = self.turns.entry(zone).or_insert_with(|| Turns::new(rate));
            turns.set_rate(rate);
            turns.set_waiting(nodes);
        }
    }

    /// Taints the nodes whose turn it is.
    async fn taint(&mut self) {
        let now = Instant::now();
        let due: Vec<(String, String)> = self
            .turns
            .iter_mut()
            .filter_map(|(zone, turns)| Some((zone.clone(), turns.take(now)?)))
            .collect();
        for (zone, name) in due {
            let node = self.nodes.cache().get(&Key::new("", &name));
            let wanted = |node: Arc<Node>| {
                let taints = evicting_taints(&node, Timestamp::now())?;
                Some((node, taints))
            };
            if let Some((node, taints)) = node.and_then(wanted)
                && self.write_taints(&node, taints).await
            {
                self.figures.tainted(&zone);
            }
        }
    }

    /// Whether it was written; if not, the next round sees to it.
    async fn write_taints(&self, node: &Node, taints: Vec<Taint>) -> bool {
        let patch = json!({"spec": {"taints": taints}});
        match set_spec(&self.cx.client, node, patch).await {
            Ok(_) => return true,
            Err(error) if is_stale(&error) => {}
            Err(error) => {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                tracing::warn!(node = name, "not tainted: {error}");
            }
        }
        false
    }
}

async fn give_one_up(api: &Api<Node>, node: &Node, conditions: Vec<NodeCondition>) -> Option<Node> {
    let meta = &node.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let patch = json!({
        "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
        "status": {"conditions": conditions},
    });
    let params = PatchParams::default();
    match api
        .patch_status(name, &params, &Patch::Strategic(patch))
        .await
    {
        Ok(node) => Some(node),
        Err(error) if is_stale(&error) => None,
        Err(error) => {
            tracing::warn!(node = name, "not given up: {error}");
            None
        }
    }
}
