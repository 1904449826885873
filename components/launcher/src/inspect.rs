//! `mainstay status`, `logs`, `kill`, `stop`, `start` and `exec`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cluster::{Cluster, Lock};
use crate::host::{Power, Process, enter};
use crate::join::Joined;
use crate::limits::STATUS_PATIENCE;
use crate::machine;
use crate::screen::{say, table};
use crate::supervise::{Request, Status, ask, statuses};
use crate::up::{nodes, prepare};

/// What the machine itself is called beside the hosts.
const MACHINE: &str = "machine";

/// Shows hosts, processes and nodes.
pub(crate) fn status(root: &Path) -> Result<()> {
    if let Some(joined) = Joined::read(root)? {
        let first = machine::first_in(&joined.machine());
        let first = first.map(|first| (first, machine::socket(first)));
        show(vec![(joined.name, first)]);
        // Whether the node is ready the cluster knows.
        return Ok(());
    }
    let cluster = Cluster::there(root)?;
    let mut parts: Vec<Part> = Vec::new();
    for host in &cluster.hosts {
        let power = Power {
            cluster: &cluster,
            host,
        };
        let first = power.first().map(|first| (first, Power::socket(first)));
        parts.push((format!("{} ({})", host.name, host.address), first));
    }
    let first = machine::first(&cluster).map(|first| (first, machine::socket(first)));
    parts.push((MACHINE.to_owned(), first));
    show(parts);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime")?;
    let nodes =
        runtime.block_on(async { tokio::time::timeout(STATUS_PATIENCE, nodes(&cluster)).await });
    match nodes {
        Ok(Ok(nodes)) => {
            let ready = nodes.iter().filter(|(_, ready)| *ready).count();
            say(format!("\nNodes ready: {ready} of {}", nodes.len()));
            Ok(())
        }
        Ok(Err(error)) => bail!("no apiserver answers: {error}"),
        Err(_) => bail!("no apiserver answers in {} s", STATUS_PATIENCE.as_secs()),
    }
}

/// A supervisor and where it listens, if it runs.
type Part = (String, Option<(Process, PathBuf)>);

fn show(parts: Vec<Part>) {
    let heads = [
        "HOST", "PROCESS", "STATE", "PID", "RESTARTS", "AGE", "MEMORY",
    ];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for (name, first) in parts {
        let Some((first, socket)) = first else {
            rows.push(vec![name, "-".to_owned(), "off".to_owned()]);
            continue;
        };
        match statuses(&socket) {
            Ok(all) if all.is_empty() => rows.push(vec![name, "-".to_owned(), "on".to_owned()]),
            Ok(all) => rows.extend(all.iter().map(|one| row(&name, first, one))),
            Err(error) => rows.push(vec![name, format!("{error:#}")]),
        }
    }
    say(table(&rows).trim_end());
}

fn row(host: &str, first: Process, one: &Status) -> Vec<String> {
    let state = match (one.pid, one.wanted) {
        (Some(_), _) => "runs".to_owned(),
        (None, false) => "stopped".to_owned(),
        (None, true) => {
            let ended = one.ended.as_deref().unwrap_or("not started yet");
            format!("down: {ended}")
        }
    };
    let show = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        host.to_owned(),
        one.name.clone(),
        state,
        show(one.pid.map(|pid| pid.to_string())),
        one.restarts.to_string(),
        show(one.pid.map(|_| age(Duration::from_secs(one.seconds)))),
        show(one.pid.and_then(|pid| memory(first, pid))),
    ]
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7_199 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

/// Resident memory of a process, by its id in its host.
fn memory(first: Process, pid: u32) -> Option<String> {
    let path = first.file(&format!("root/proc/{pid}/status"));
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(format!("{} MiB", kib >> 10))
}

/// A host, or a process on one: `master-1`, `master-1/apiserver`, `machine/balancer`.
struct Target<'a> {
    host: &'a str,
    process: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Where there are no hosts, a name alone is a process.
    fn of(name: &'a str, cluster: &Cluster) -> Self {
        match name.split_once('/') {
            Some((host, process)) => Self {
                host,
                process: Some(process),
            },
            None if cluster.embedded.is_some() && name != MACHINE => Self {
                host: MACHINE,
                process: Some(name),
            },
            None => Self {
                host: name,
                process: None,
            },
        }
    }

    fn socket(&self, cluster: &Cluster) -> Result<PathBuf> {
        let off = || format!("{} is off", self.host);
        if self.host == MACHINE {
            return machine::first(cluster)
                .map(machine::socket)
                .with_context(off);
        }
        let power = Power {
            cluster,
            host: cluster.host(self.host)?,
        };
        power.first().map(Power::socket).with_context(off)
    }
}

/// What is done to a host or a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Kill,
    Stop,
    Start,
}

/// Kills, stops or starts a host or a process.
pub(crate) fn act(root: &Path, name: &str, deed: Deed) -> Result<()> {
    let cluster = Cluster::there(root)?;
    let target = Target::of(name, &cluster);
    if let Some(process) = target.process {
        let process = process.to_owned();
        let (request, done) = match deed {
            Deed::Kill => (Request::Kill(process), "was killed, and is started again"),
            Deed::Stop => (Request::Stop(process), "is stopped"),
            Deed::Start => (Request::Start(process), "is started"),
        };
        ask(&target.socket(&cluster)?, &request)?;
        say(format!("{name} {done}"));
        return Ok(());
    }
    if target.host == MACHINE {
        bail!("name a process, as machine/balancer");
    }
    let _lock = Lock::take(root)?;
    let power = Power {
        cluster: &cluster,
        host: cluster.host(target.host)?,
    };
    let (changed, done) = match deed {
        Deed::Kill => (power.off(false)?, "off"),
        Deed::Stop => (power.off(true)?, "off"),
        Deed::Start => {
            prepare(&cluster, power.host)?;
            (power.on()?, "on")
        }
    };
    match changed {
        true => say(format!("{name} is {done}")),
        false => say(format!("{name} was {done} already")),
    }
    Ok(())
}

/// Shows the end of a process's log, or all that is to come.
pub(crate) fn logs(root: &Path, name: &str, lines: u32, follow: bool) -> Result<()> {
    if let Some(joined) = Joined::read(root)? {
        return tail(
            &joined.machine().join("logs"),
            "",
            Some(name),
            lines,
            follow,
        );
    }
    let cluster = Cluster::there(root)?;
    let target = Target::of(name, &cluster);
    let folder = match target.host == MACHINE {
        true => cluster.folders().machine().join("logs"),
        false => {
            let host = cluster.host(target.host)?;
            cluster.folders().disk(&host.name).join("var/log/mainstay")
        }
    };
    let host = format!("{}/", target.host);
    tail(&folder, &host, target.process, lines, follow)
}

fn tail(folder: &Path, host: &str, process: Option<&str>, lines: u32, follow: bool) -> Result<()> {
    let there = || -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names
            .filter_map(|name| name.strip_suffix(".log").map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    let Some(process) = process else {
        bail!("name a process: {host}{{{}}}", there().join(","));
    };
    if !there().iter().any(|name| name == process) {
        bail!(
            "there is no log {process}: there are {}",
            there().join(", ")
        );
    }
    let path = folder.join(format!("{process}.log"));
    let mut tail = Command::new("tail");
    tail.arg(format!("--lines={lines}"));
    if follow {
        // By name: it goes on when a new file begins.
        tail.arg("-F");
    }
    let status = tail.arg(path).status().context("tail")?;
    match status.success() {
        true => Ok(()),
        false => bail!("tail: {status}"),
    }
}

/// Runs a command in a host.
pub(crate) fn exec(root: &Path, name: &str, command: &[String]) -> Result<()> {
    let cluster = Cluster::there(root)?;
    if cluster.embedded.is_some() {
        bail!("this cluster has no hosts: its processes are the machine's");
    }
    let power = Power {
        cluster: &cluster,
        host: cluster.host(name)?,
    };
    let first = power.first().with_context(|| format!("{name} is off"))?;
    enter(first, command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Embedded;

    #[test]
    fn targets_are_hosts_or_processes_on_them() {
        let subnet = "10.240.0.0/24".parse().expect("a net");
        let hosts = Cluster::new(Path::new("/run"), subnet, 6_443, Vec::new());
        let target = Target::of("master-1/apiserver", &hosts);
        assert_eq!(
            (target.host, target.process),
            ("master-1", Some("apiserver"))
        );
        let target = Target::of("worker-1", &hosts);
        assert_eq!((target.host, target.process), ("worker-1", None));
        let (port, embedded) = Embedded::choose(1, 1).expect("ports");
        let plain = Cluster::embedded(Path::new("/run"), port, embedded);
        let target = Target::of("m1", &plain);
        assert_eq!((target.host, target.process), (MACHINE, Some("m1")));
    }

    #[test]
    fn ages_are_short() {
        let cases = [(5, "5s"), (119, "119s"), (600, "10m"), (10_000, "2h")];
        for (seconds, text) in cases {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
