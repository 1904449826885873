//! Real server processes: on a network of their own where the machine permits it, on disks of their own where a fault
//! needs them.
//!
//! Calls block for as long as processes and programs take: they are made on threads that may.

mod storage;

pub use self::storage::Storage;

use crate::limits::{EXIT_DEADLINE, PROBE_DEADLINE, READY_DEADLINE};
use crate::nemesis::Nemesis;
use crate::plan::Plan;
use crate::subject::{Kind, Subject};
use anyhow::{Context, Result, bail};
use mainstay_faults::disk::power_cut;
use mainstay_faults::process::Spec;
use mainstay_faults::{Clock, Fabric, Process, Proof, Run};
use mainstay_tests::Raw;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::runtime::Handle;

/// Log entries between two snapshots: few, so that members that were away need one.
const SNAPSHOT_COUNT: u32 = 2_000;

/// A cluster of processes. Everything is ended and removed when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The members, in order. Before the network, which must outlive the processes in it.
    members: Vec<Member>,
    fabric: Fabric,
    runtime: Handle,
    _run: Run,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    /// Its process; it may have ended.
    pub process: Process,
    /// Where its data lies.
    pub storage: Storage,
    /// Its wall clock, if a nemesis moves it.
    pub clock: Option<Clock>,
    /// Whether the harness has ended it on purpose and not started it again.
    pub down: bool,
    raw: Raw,
}

impl Cluster {
    /// Lays everything out and starts all members, without waiting for them. Logs go to `logs`.
    pub fn start(plan: &Plan, logs: &Path, runtime: Handle) -> Result<Self> {
        let run = Run::claim().context("claiming a run")?;
        let proxies = plan.nemeses.iter().any(|nemesis| nemesis.needs_proxies());
        let fabric = if plan.loopback {
            Fabric::loopback(&run, plan.members)
        } else if proxies {
            Fabric::best(&run, plan.members)
        } else {
            Fabric::namespaces(&run, plan.members, false)
                .or_else(|_| Fabric::best(&run, plan.members))
        };
        let fabric = fabric.context("making the network")?;
        if !fabric.has_namespaces()
            && let Some(nemesis) = plan.nemeses.iter().find(|n| !n.works_on_loopback())
        {
            bail!(
                "--nemesis {nemesis} needs network namespaces, which this machine does not permit"
            );
        }
        let initial = initial_cluster(&fabric);
        let disks = plan.nemeses.iter().find_map(|nemesis| nemesis.disk());
        let clocks = plan.nemeses.contains(&Nemesis::Clock);
        let mut members = Vec::new();
        for index in 0..plan.members {
            let storage = Storage::create(&run, index, disks)?;
            let clock = clocks.then(|| clock(&run, index)).transpose()?;
            let mut spec = spec(&plan.subject, &fabric, index, &initial, &storage, logs);
            spec.env
                .extend(clock.as_ref().map(Clock::env).into_iter().flatten());
            let raw = runtime.block_on(async { Raw::connect(&client_url(&fabric, index), None) });
            let process = Process::spawn(spec).with_context(|| format!("starting m{index}"))?;
            fabric.register(index, process.id());
            members.push(Member {
                process,
                storage,
                clock,
                down: false,
                raw: raw.with_deadline(PROBE_DEADLINE),
            });
        }
        Ok(Self {
            members,
            fabric,
            runtime,
            _run: run,
        })
    }

    /// How many members there are, running or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The network between them.
    pub fn fabric(&self) -> &Fabric {
        &self.fabric
    }

    /// A member.
    pub fn member(&mut self, index: usize) -> &mut Member {
        &mut self.members[index]
    }

    /// Where clients find each member.
    pub fn urls(&self) -> Vec<String> {
        (0..self.len())
            .map(|index| client_url(&self.fabric, index))
            .collect()
    }

    /// Members whose process exists.
    pub fn running(&mut self) -> Vec<usize> {
        (0..self.len())
            .filter(|&index| self.members[index].process.is_running())
            .collect()
    }

    /// Members that ended although nobody ended them.
    pub fn died(&mut self) -> Vec<usize> {
        let died = |(index, member): (usize, &mut Member)| {
            (!member.down && !member.process.is_running()).then_some(index)
        };
        self.members
            .iter_mut()
            .enumerate()
            .filter_map(died)
            .collect()
    }

    /// SIGKILL.
    pub fn kill(&mut self, index: usize) -> Result<Proof> {
        let member = &mut self.members[index];
        member.down = true;
        Ok(member.process.kill()?)
    }

    /// A power cut of all of these at once: every process with its disk. They must be on disks of their own.
    pub fn cut_power(&mut self, indexes: &[usize]) -> Result<Proof> {
        let mut victims = Vec::new();
        let mut proofs = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            if indexes.contains(&index) {
                member.down = true;
                proofs.push(Proof::acted(format!(
                    "m{index} lost its power as process {}",
                    member.process.id()
                )));
                victims.push((&mut member.process, member.storage.disk()?));
            }
        }
        power_cut(victims)?;
        Ok(Proof::all(proofs))
    }

    /// SIGTERM, then SIGKILL if that takes too long.
    pub fn terminate(&mut self, index: usize) -> Result<Proof> {
        let member = &mut self.members[index];
        member.down = true;
        match member.process.terminate(EXIT_DEADLINE) {
            Ok((status, took)) => Ok(Proof::acted(format!(
                "m{index} ended in {took:.1?}: {status}"
            ))),
            Err(error) => {
                member.process.kill()?;
                Ok(Proof::acted(format!(
                    "m{index} was killed after SIGTERM: {error}"
                )))
            }
        }
    }

    /// Starts a member again, without waiting for it. Its disk must be there.
    pub fn restart(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        member
            .process
            .restart()
            .with_context(|| format!("starting m{index} again"))?;
        member.down = false;
        self.fabric
            .register(index, self.members[index].process.id());
        Ok(())
    }

    /// Whether a member answers a linearizable read.
    pub fn answers(&self, index: usize) -> bool {
        let raw = self.members[index].raw.clone();
        self.runtime
            .block_on(async move { raw.get("\0").await.is_ok() })
    }

    /// Waits until these members answer linearizable reads; those that do not by then, each with what is wrong.
    pub fn wait_answering(
        &mut self,
        indexes: &[usize],
        deadline: std::time::Duration,
    ) -> Vec<String> {
        let start = Instant::now();
        let mut missing = indexes.to_vec();
        while !missing.is_empty() && start.elapsed() < deadline {
            missing.retain(|&index| !self.answers(index));
        }
        let mut wrong = Vec::new();
        for index in missing {
            wrong.push(match self.members[index].process.exit_status() {
                Some(status) => format!("m{index} has ended: {status}"),
                None => format!("m{index} runs but does not answer"),
            });
        }
        wrong
    }

    /// Waits until every member answers for the first time.
    pub fn wait_started(&mut self) -> Result<()> {
        let all: Vec<usize> = (0..self.len()).collect();
        let wrong = self.wait_answering(&all, READY_DEADLINE);
        if !wrong.is_empty() {
            bail!(
                "the cluster did not start within {READY_DEADLINE:?}: {}",
                wrong.join("; ")
            );
        }
        Ok(())
    }

    /// Ends all members in an orderly way.
    pub fn stop(&mut self) -> Result<()> {
        for index in self.running() {
            self.terminate(index)?;
        }
        Ok(())
    }
}

fn client_url(fabric: &Fabric, index: usize) -> String {
    format!("http://{}", fabric.place(index).client)
}

fn initial_cluster(fabric: &Fabric) -> String {
    let entry = |index| format!("m{index}=http://{}", fabric.place(index).peer);
    let entries: Vec<String> = (0..fabric.members()).map(entry).collect();
    entries.join(",")
}

fn clock(run: &Run, index: usize) -> Result<Clock> {
    Clock::create(run.dir().join(format!("m{index}.clock")))
        .with_context(|| format!("making the clock of m{index}"))
}

fn spec(
    subject: &Subject,
    fabric: &Fabric,
    index: usize,
    initial: &str,
    storage: &Storage,
    logs: &Path,
) -> Spec {
    let place = fabric.place(index);
    let (client, peer, listen) = (place.client, place.peer, place.peer_listen);
    let progress = match subject.kind {
        Kind::Kvstore => "watch-progress-notify-interval",
        Kind::Etcd => "experimental-watch-progress-notify-interval",
    };
    let mut args = vec![
        format!("--name=m{index}"),
        format!("--data-dir={}", storage.data().display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{listen}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster={initial}"),
        "--initial-cluster-state=new".to_owned(),
        "--initial-cluster-token=mainstay-jepsen".to_owned(),
        format!("--snapshot-count={SNAPSHOT_COUNT}"),
        format!("--{progress}=500ms"),
    ];
    args.extend(subject.flags.iter().cloned());
    let mut spec = Spec::new(&subject.path, log_path(logs, index)).args(args);
    spec.namespace.clone_from(&place.namespace);
    let env = subject
        .env
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    spec.env = env.collect();
    spec
}

/// Where a member's log is.
pub fn log_path(logs: &Path, index: usize) -> PathBuf {
    logs.join(format!("m{index}.log"))
}
