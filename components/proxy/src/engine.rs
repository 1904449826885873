//! The thread that writes rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_client::Key;
use tokio::sync::watch;

use crate::board::{Board, Wake};
use crate::command::CommandError;
use crate::conntrack::{Fronts, clean};
use crate::health::Health;
use crate::limits::{RETRY_MIN, REWRITE_INTERVAL, VERIFY_PAUSE_FACTOR};
use crate::local::{Local, NodePorts, own_addresses};
use crate::metrics::Figures;
use crate::model::{Node, Plan, Refusal};
use crate::rules::{Rules, Setting};

/// How rules are written.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Between the end of one write and the next. The first change after a pause is written at once.
    pub min: Duration,
    /// How often it is looked whether somebody else changed the rules.
    pub verify: Duration,
}

/// How packets of pods are told, before the node is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    Fixed(Local),
    /// By the range of this node's pods.
    NodeRange,
}

/// What all services are programmed with, as far as flags say it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub mark: u32,
    pub masquerade_all: bool,
    pub local: DetectLocal,
    pub node_ports: NodePorts,
}

impl Wish {
    /// Whether it can be fulfilled with what is known of the node.
    #[must_use]
    pub fn is_enough(&self, node: Option<&Node>) -> bool {
        self.local != DetectLocal::NodeRange || node.is_some_and(|node| node.pods.is_some())
    }

    /// As far as it can be said without the node.
    #[must_use]
    pub fn initial(&self) -> Setting {
        self.setting(None)
    }

    fn setting(&self, node: Option<&Node>) -> Setting {
        let address = node.and_then(|node| node.address);
        let local = match &self.local {
            DetectLocal::Fixed(local) => local.clone(),
            DetectLocal::NodeRange => match node.and_then(|node| node.pods) {
                Some(range) => Local::Range(range),
                None => Local::Unknown,
            },
        };
        let own = match &self.node_ports {
            NodePorts::Ranges(_) => {
                let fib = std::fs::read_to_string("/proc/thread-self/net/fib_trie");
                own_addresses(&fib.unwrap_or_default())
            }
            NodePorts::Everywhere | NodePorts::Primary => Vec::new(),
        };
        Setting {
            mark: self.mark,
            masquerade_all: self.masquerade_all,
            local,
            node: address,
            node_ports: self.node_ports.addresses(&own, address),
        }
    }
}

/// Where load balancers ask for services, and how many endpoints of them are here.
pub type HealthPorts = BTreeMap<Key, (u16, usize)>;

/// What the thread works with.
#[derive(Debug)]
pub struct Engine {
    board: Arc<Board>,
    health: Arc<Health>,
    figures: Figures,
    rules: Box<dyn Rules>,
    wish: Wish,
    pace: Pace,
    setting: Option<Setting>,
    /// Nothing is known of what is in the kernel.
    is_lost: bool,
    failures: u32,
    ready: Instant,
    rewrite: Instant,
    verify: Instant,
    health_ports: HealthPorts,
    tell: watch::Sender<HealthPorts>,
    no_local: HashMap<Key, (usize, usize)>,
}

impl Engine {
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        health: Arc<Health>,
        figures: Figures,
        rules: Box<dyn Rules>,
        wish: Wish,
        pace: Pace,
        tell: watch::Sender<HealthPorts>,
    ) -> Self {
        let now = Instant::now();
        Self {
            board,
            health,
            figures,
            rules,
            wish,
            pace,
            setting: None,
            is_lost: true,
            failures: 0,
            ready: now,
            rewrite: now + REWRITE_INTERVAL,
            verify: now,
            health_ports: HealthPorts::new(),
            tell,
            no_local: HashMap::new(),
        }
    }

    /// Writes rules until [`Board::stop`]. They stay as they are then. `first` is done once they were first written.
    pub fn run(mut self, first: impl FnOnce()) {
        let wish = self.wish.clone();
        if !self.board.wait_listed(|node| wish.is_enough(node)) {
            return;
        }
        let mut first = Some(first);
        loop {
            let wake = match self.is_lost && self.failures == 0 {
                true => Wake::Changed,
                false => self.board.wait(self.ready, self.timer()),
            };
            match wake {
                Wake::Stop => return,
                Wake::Changed => self.write(),
                Wake::Time => self.keep_up(),
            }
            if !self.is_lost
                && let Some(first) = first.take()
            {
                first();
            }
        }
    }

    /// When there is something to be done without a change.
    fn timer(&self) -> Instant {
        if self.is_lost {
            return self.ready;
        }
        let tidy = self.rules.tidy_after().map(|after| Instant::now() + after);
        let next = self.rewrite.min(self.verify);
        tidy.map_or(next, |tidy| tidy.min(next))
    }

    fn keep_up(&mut self) {
        let now = Instant::now();
        if self.is_lost || now >= self.rewrite {
            return self.write_all();
        }
        if self.rules.tidy_after() == Some(Duration::ZERO)
            && let Err(error) = self.rules.tidy()
        {
            tracing::warn!("what is not used any more was not deleted: {error}");
            self.figures.cleanup_failed();
            self.is_lost = true;
            return self.write_all();
        }
        if now >= self.verify {
            self.look();
        }
    }

    /// Looks whether somebody changed the rules, and writes them again if so.
    fn look(&mut self) {
        let start = Instant::now();
        let found = self.rules.verify();
        let took = start.elapsed();
        let pause = self.pace.verify.max(took * VERIFY_PAUSE_FACTOR);
        self.verify = Instant::now() + pause;
        let is_same = self.setting.as_ref() == Some(&self.current());
        match found {
            Ok(found) if found.is_empty() && is_same => {}
            Ok(found) => {
                if !found.is_empty() {
                    tracing::warn!("somebody changed the rules: {}", found.join("; "));
                    self.figures.repaired();
                }
                self.write_all();
            }
            Err(error) => tracing::warn!("the rules could not be looked at: {error}"),
        }
    }

    fn current(&self) -> Setting {
        self.wish.setting(self.board.node().as_ref())
    }

    fn write(&mut self) {
        if self.is_lost || self.setting.as_ref() != Some(&self.current()) {
            return self.write_all();
        }
        let start = Instant::now();
        let batch = self.board.take(false);
        match self.rules.update(&batch.services) {
            Ok(()) => {
                self.figures.wrote(start.elapsed(), false, &batch.triggers);
                self.written(&batch.services);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn write_all(&mut self) {
        let start = Instant::now();
        let setting = self.current();
        let batch = self.board.take(true);
        match self.rules.rewrite(&setting, &batch.services) {
            Ok(()) => {
                self.setting = Some(setting);
                self.is_lost = false;
                let now = Instant::now();
                self.rewrite = now + REWRITE_INTERVAL;
                self.verify = self.verify.max(now + self.pace.verify);
                let took = start.elapsed();
                self.figures.wrote(took, true, &batch.triggers);
                tracing::info!(
                    services = batch.services.len(),
                    ?took,
                    "all rules are written"
                );
                self.health_ports.clear();
                self.no_local.clear();
                self.written(&batch.services);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &CommandError) {
        tracing::error!("the rules are not written: {error}");
        self.figures.failed();
        self.health.failed(Instant::now());
        self.is_lost = true;
        let pause = RETRY_MIN.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.ready = Instant::now() + pause.min(self.pace.verify.max(RETRY_MIN));
    }

    /// What follows from rules that are written.
    fn written(&mut self, services: &[(Key, Vec<Plan>)]) {
        self.health.updated();
        self.failures = 0;
        for (key, plans) in services {
            match health_port(plans) {
                Some(told) => self.health_ports.insert(key.clone(), told),
                None => self.health_ports.remove(key),
            };
            match no_local(plans) {
                (0, 0) => self.no_local.remove(key),
                counts => self.no_local.insert(key.clone(), counts),
            };
        }
        let ports = &self.health_ports;
        self.tell.send_if_modified(|told| {
            let is_new = told != ports;
            if is_new {
                told.clone_from(ports);
            }
            is_new
        });
        let counts = self.no_local.values();
        let (internal, external) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.figures.no_local(internal, external);
        self.clean_flows(services);
        self.ready = Instant::now() + self.pace.min;
    }

    fn clean_flows(&self, services: &[(Key, Vec<Plan>)]) {
        let fronts = Fronts::new(services);
        if fronts.is_empty() {
            return;
        }
        let start = Instant::now();
        match clean(&fronts) {
            Ok(deleted) => {
                let deleted = u64::try_from(deleted).unwrap_or(u64::MAX);
                self.figures.flows(start.elapsed(), deleted);
            }
            Err(error) => tracing::warn!("UDP flows to who is gone were not deleted: {error}"),
        }
    }
}

/// Addresses that are ready here count, whatever ports they have.
fn health_port(plans: &[Plan]) -> Option<(u16, usize)> {
    let port = plans.iter().find_map(|plan| plan.port.health_port)?;
    let ends = plans.iter().flat_map(|plan| &plan.all);
    let ready = ends.filter(|end| end.local && end.ready);
    let ips: BTreeSet<Ipv4Addr> = ready.map(|end| *end.address.ip()).collect();
    Some((port, ips.len()))
}

fn no_local(plans: &[Plan]) -> (usize, usize) {
    let dropped = |of: fn(&Plan) -> Option<Refusal>| {
        let plans = plans.iter();
        plans.filter(|plan| of(plan) == Some(Refusal::Drop)).count()
    };
    (
        dropped(Plan::internal_refusal),
        dropped(Plan::external_refusal),
    )
}
