//! The course of a run.

use mainstay_raft::inspect::Content;
use mainstay_raft::{InitialMember, StopReason, ident};

use super::clients::Clients;
use super::counts::Counts;
use super::faults::Faults;
use super::members::Changes;
use super::watching::Watching;
use crate::host::{Exit, Host, peer_url};
use crate::limits::STEP_US;
use crate::machine::{LogLook, Net};
use crate::oracle::answers::Answers;
use crate::oracle::leases::LeaseOracle;
use crate::oracle::log::LogOracle;
use crate::oracle::model::Model;
use crate::oracle::{Checked, Violation, violated};
use crate::params::Params;
use crate::process;
use crate::rng::Rng;
use crate::trace::{Trace, say};

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) now: u64,
    pub(super) rng: Rng,
    pub(super) params: Params,
    cluster_id: u64,
    pub(super) net: Net,
    pub(super) hosts: Vec<Host>,
    pub(super) restart_at: Vec<u64>,
    /// Hosts whose process may end by itself: their disk was tampered with.
    pub(super) excused: Vec<bool>,
    /// Hosts that were removed from the cluster.
    pub(super) retired: Vec<bool>,
    pub(super) retire_at: Option<u64>,
    pub(super) rotten: Option<usize>,
    /// Stays down in the last phase.
    pub(super) dead: Option<usize>,
    pub(super) clients: Clients,
    pub(super) watching: Vec<Watching>,
    pub(super) faults: Faults,
    pub(super) changes: Changes,
    pub(super) log: LogOracle,
    pub(super) model: Model,
    pub(super) answers: Answers,
    pub(super) leases: LeaseOracle,
    /// Calls of the last phase that were sent, and how many had succeeded before.
    pub(super) probing: Option<(u64, u64)>,
    pub(super) probed: bool,
    pub(super) counts: Counts,
    pub(super) trace: Trace,
}

impl World {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        let mut rng = Rng::new(seed);
        let params = Params::draw(&mut rng);
        say!(trace, "{params:?}");
        let net = Net::new(rng.fork(), params.latency_us, trace.clone());
        let members: Vec<InitialMember> = (0..params.members)
            .map(|index| {
                let peer_urls = vec![peer_url(index)];
                InitialMember {
                    id: ident::member_id(&peer_urls, "sim", None),
                    name: format!("m{index}"),
                    peer_urls,
                }
            })
            .collect();
        let ids: Vec<u64> = members.iter().map(|m| m.id).collect();
        let mut hosts = Vec::new();
        for (index, member) in members.iter().enumerate() {
            let mut host = Host::new(index, member.id, net.clone(), &mut rng, &params);
            host.members.clone_from(&members);
            hosts.push(host);
        }
        let watchers = rng.below(5);
        let mut world = Self {
            now: 0,
            cluster_id: ident::cluster_id(&ids),
            restart_at: vec![0; hosts.len()],
            excused: vec![false; hosts.len()],
            retired: vec![false; hosts.len()],
            retire_at: None,
            rotten: None,
            dead: None,
            clients: Clients::new(params.clients, params.keys, hosts.len()),
            watching: Vec::new(),
            faults: Faults::default(),
            changes: Changes::default(),
            log: LogOracle::new(),
            model: Model::new(),
            answers: Answers::default(),
            leases: LeaseOracle::new(if params.clocks_drift { 1.25 } else { 1.0 }),
            probing: None,
            probed: false,
            counts: Counts::default(),
            net,
            hosts,
            rng,
            params,
            trace,
        };
        world.add_watchers(watchers);
        world
    }

    /// The whole run; ends early when something panicked.
    pub(crate) fn run(&mut self, panicked: &mut dyn FnMut() -> bool) -> Checked {
        while self.now < self.params.safety_us {
            // A cluster that never was is no subject of faults.
            let founded = self.log.committed() > self.params.members as u64;
            self.step(founded)?;
            if panicked() {
                return Ok(());
            }
        }
        self.settle(panicked)
    }

    /// What happened.
    pub(crate) fn counts(&mut self) -> Counts {
        let mut counts = self.counts.clone();
        counts.add("elections", self.log.elections);
        counts.add("log_truncations", self.log.truncations);
        counts.add("committed_entries", self.log.committed());
        counts.add("answers_checked", self.answers.checked);
        counts.add("leases_expired", self.leases.expired);
        let installed = self.hosts.iter().map(Host::snapshots_received).sum();
        counts.add("snapshots_received", installed);
        counts.add("network_kib", self.net.bytes() / 1024);
        counts.add("simulated_ms", self.now / 1000);
        counts
    }

    pub(super) fn step(&mut self, with_faults: bool) -> Checked {
        self.now += STEP_US;
        process::set_time(self.now);
        self.trace.set_time(self.now);
        self.net.step(self.now);
        self.faults(with_faults);
        self.restart()?;
        for host in 0..self.hosts.len() {
            self.hosts[host].step(self.now, STEP_US);
            // Before the disk goes on or the process ends: what it knows now, clients may know.
            self.look(host)?;
            if let Some(exit) = self.hosts[host].step_disk(self.now) {
                self.exited(host, exit)?;
            }
        }
        self.clients_answered()?;
        self.members_changed();
        self.watch()?;
        self.clients_call();
        Ok(())
    }

    fn restart(&mut self) -> Checked {
        for host in 0..self.hosts.len() {
            let stays = self.retired[host] || self.dead == Some(host);
            if self.hosts[host].is_running() || stays || self.restart_at[host] > self.now {
                continue;
            }
            say!(self.trace, "m{host} starts");
            self.counts.one("starts");
            if let Err(e) = self.hosts[host].start(&self.params, self.cluster_id) {
                return Err(Violation(format!("harness: no runtime: {e}")));
            }
        }
        Ok(())
    }

    fn exited(&mut self, host: usize, exit: Exit) -> Checked {
        say!(self.trace, "m{host} ended: {exit}");
        let removed = matches!(&exit, Exit::Stopped(StopReason::Removed));
        if removed {
            self.counts.one("removed_members_ended");
            if !self.retired[host] {
                say!(self.trace, "m{host} knows of its removal first");
                self.retired[host] = true;
            }
            self.hosts[host].kill(mainstay_wal::disk::Crash::Process);
            return Ok(());
        }
        if !self.excused[host] {
            violated!("m{host} ended by itself: {exit}");
        }
        self.counts.one("members_ended");
        if self.rotten == Some(host) {
            self.counts.one("damage_noticed");
            self.dead = Some(host);
        }
        self.kill(host, mainstay_wal::disk::Crash::Power);
        Ok(())
    }

    /// Shows the oracles what a member knows now.
    fn look(&mut self, host: usize) -> Checked {
        let host = &mut self.hosts[host];
        let Some(process) = &mut host.process else {
            return Ok(());
        };
        match process.log.take() {
            Some(LogLook::Torn) => self.counts.one("torn_tails"),
            Some(LogLook::Damaged) => self.counts.one("damaged_logs"),
            _ => {}
        }
        let Some(node) = &process.node else {
            return Ok(());
        };
        let mut committed: Vec<(u64, Content)> = Vec::new();
        let mut into = |index: u64, content: Content| committed.push((index, content));
        self.log
            .look(host.index, process.number, node, &mut self.model, &mut into)?;
        let snapshot = node.look().snapshot.map_or(0, |id| id.index);
        if snapshot > process.snapshot {
            process.snapshot = snapshot;
            self.counts.one("snapshots");
        }
        for (index, content) in committed {
            self.answers.committed(index, &content)?;
            self.leases.committed(self.now, &content)?;
            self.trace.note(&[index, self.model.revision as u64]);
        }
        let seen = std::mem::take(&mut *host.observed.lock());
        for (applied, sum) in seen {
            self.log.state(host.index, applied, sum)?;
        }
        Ok(())
    }
}
