//! What one run is to be, checked before anything is started.

use crate::limits::{
    CLIENT_DEADLINE_MS, CLIENTS_PER_MEMBER_MAX, MEMBERS, NEMESES_MAX, RATE_MAX, RUN_TIME_MAX,
    RUN_TIME_MIN,
};
use crate::nemesis::Nemesis;
use crate::subject::{Kind, Subject};
use crate::workload::Workload;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the clients do.
    pub workload: Workload,
    /// What goes wrong, all at the same time.
    pub nemeses: Vec<Nemesis>,
    /// Cluster size.
    pub members: usize,
    /// How long things go wrong.
    pub time: Duration,
    /// Operations per second of all clients together; 0 is as fast as they can.
    pub rate: u32,
    /// Clients of each member, without the watchers.
    pub clients_per_member: usize,
    /// After this the outcome of a call is unknown.
    pub deadline: Duration,
    /// Decides operations and faults. Scheduling is not repeatable, so a seed narrows down, it does not replay.
    pub seed: u64,
    /// The server.
    pub subject: Subject,
    /// Whether the server's binary was named on the command line.
    pub named_binary: bool,
    /// Members on plain loopback even where namespaces are possible.
    pub loopback: bool,
    /// Where the run's folder goes.
    pub out: PathBuf,
}

impl Plan {
    /// Says what makes no sense.
    pub fn check(&self) -> Result<()> {
        if !MEMBERS.contains(&self.members) {
            bail!(
                "--members {}: a cluster has 1, 3 or 5 members here",
                self.members
            );
        }
        if !(RUN_TIME_MIN..=RUN_TIME_MAX).contains(&self.time) {
            bail!(
                "--time {}: {} to {} seconds",
                self.time.as_secs(),
                RUN_TIME_MIN.as_secs(),
                RUN_TIME_MAX.as_secs()
            );
        }
        if self.rate > RATE_MAX {
            bail!(
                "--rate {}: at most {RATE_MAX} operations per second",
                self.rate
            );
        }
        if !(1..=CLIENTS_PER_MEMBER_MAX).contains(&self.clients_per_member) {
            bail!(
                "--clients {}: 1 to {CLIENTS_PER_MEMBER_MAX} per member",
                self.clients_per_member
            );
        }
        let deadline = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
        if !CLIENT_DEADLINE_MS.contains(&deadline) {
            bail!(
                "--deadline {deadline}: {} to {} milliseconds",
                CLIENT_DEADLINE_MS.start(),
                CLIENT_DEADLINE_MS.end()
            );
        }
        if self.nemeses.is_empty() || self.nemeses.len() > NEMESES_MAX {
            bail!("1 to {NEMESES_MAX} nemeses, or `none`");
        }
        self.nemeses
            .iter()
            .try_for_each(|nemesis| self.check_nemesis(*nemesis))
    }

    fn check_nemesis(&self, nemesis: Nemesis) -> Result<()> {
        if self.members < nemesis.members_min() {
            let least = nemesis.members_min();
            bail!(
                "--nemesis {nemesis} needs at least {least} members, not {}",
                self.members
            );
        }
        if nemesis == Nemesis::None && self.nemeses.len() > 1 {
            bail!("--nemesis none goes with no other");
        }
        if self
            .nemeses
            .iter()
            .filter(|other| **other == nemesis)
            .count()
            > 1
        {
            bail!("--nemesis {nemesis} is named twice");
        }
        if self.loopback && !nemesis.works_on_loopback() {
            bail!("--nemesis {nemesis} needs network namespaces, which --loopback gives up");
        }
        if nemesis == Nemesis::Clock && self.subject.kind == Kind::Etcd {
            bail!(
                "--nemesis {nemesis} does not reach etcd: programs in Go do not ask the C library for the time"
            );
        }
        let shape = nemesis.shapes();
        if shape.is_some()
            && self
                .nemeses
                .iter()
                .filter(|other| other.shapes() == shape)
                .count()
                > 1
        {
            bail!("--nemesis {nemesis}: only one of its kind at a time");
        }
        let ends = |other: &&Nemesis| other.ends_processes();
        if nemesis == Nemesis::StallDiskLeader
            && let Some(other) = self.nemeses.iter().find(ends)
        {
            bail!(
                "--nemesis {nemesis} does not go with {other}: a process that waits for its disk cannot be killed"
            );
        }
        let disk = |nemesis: &Nemesis| nemesis.disk().is_some();
        if self.nemeses.iter().filter(|nemesis| disk(nemesis)).count() > 1 {
            bail!("only one nemesis that needs disks of its own at a time");
        }
        Ok(())
    }

    /// The nemeses, as they are given on the command line.
    pub fn nemesis_names(&self) -> String {
        let names: Vec<&str> = self.nemeses.iter().map(|nemesis| nemesis.name()).collect();
        names.join(",")
    }

    /// A name for folders, without the moment.
    pub fn name(&self) -> String {
        let nemeses = self.nemesis_names().replace(',', "+");
        let subject = self.subject.kind;
        format!(
            "{subject}-{}-{nemeses}-{}m-{}",
            self.workload, self.members, self.seed
        )
    }

    /// The command that makes this run again.
    pub fn command(&self) -> String {
        let mut command = format!(
            "mainstay-jepsen run --workload {} --nemesis {} --members {} --time {} --rate {} --clients {} --deadline {} --seed {} --subject {}",
            self.workload,
            self.nemesis_names(),
            self.members,
            self.time.as_secs(),
            self.rate,
            self.clients_per_member,
            self.deadline.as_millis(),
            self.seed,
            self.subject.kind,
        );
        if self.named_binary {
            command.push_str(&format!(" --subject-bin {}", self.subject.path.display()));
        }
        for (name, value) in &self.subject.env {
            command.push_str(&format!(" --env {name}={value}"));
        }
        for flag in &self.subject.flags {
            command.push_str(&format!(" --flag={flag}"));
        }
        if self.loopback {
            command.push_str(" --loopback");
        }
        command
    }
}
