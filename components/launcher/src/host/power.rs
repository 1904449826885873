//! Hosts from outside: on, off, and who runs in them.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::{Process, cgroups, links};
use crate::cluster::{Cluster, Host};
use crate::files;
use crate::limits::{BOOT_PATIENCE, KILL_PATIENCE, POLL_PAUSE, STOP_PATIENCE};
use crate::supervise::{Request, ask};

/// The switch of a host.
#[derive(Debug)]
pub(crate) struct Power<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) host: &'a Host,
}

impl Power<'_> {
    fn record(&self) -> PathBuf {
        let folder = self.cluster.folders().host(&self.host.name);
        folder.join("first-process.json")
    }

    /// Its first process, if it is on.
    pub(crate) fn first(&self) -> Option<Process> {
        Process::recorded(&self.record())
    }

    /// Where its supervisor listens, as seen from outside.
    pub(crate) fn socket(first: Process) -> PathBuf {
        first.file("root/run/mainstay.sock")
    }

    /// Switches it on, if it is not, and lets its supervisor read what is to run. Says whether it was off.
    pub(crate) fn on(&self) -> Result<bool> {
        if let Some(first) = self.first() {
            ask(&Self::socket(first), &Request::Reload)?;
            return Ok(false);
        }
        let folder = self.cluster.folders().host(&self.host.name);
        files::folder(&folder)?;
        self.unplugged();
        let log = folder.join("host.log");
        let output = fs::File::create(&log).with_context(|| log.display().to_string())?;
        let this = std::env::current_exe().context("this program's path")?;
        let mut starting = Command::new(this);
        starting
            .arg("--dir")
            .arg(self.cluster.folders().root())
            .args(["host-on", &self.host.name])
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("the host's log")?)
            .stderr(output)
            .process_group(0);
        let mut child = starting.spawn().context("starting a host")?;
        let begun = Instant::now();
        let first = loop {
            if let Some(first) = self.first()
                && Self::socket(first).exists()
            {
                break first;
            }
            if let Some(status) = child.try_wait().context("waiting for a host")? {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!(
                    "{} did not start ({status}): {}",
                    self.host.name,
                    said.trim()
                );
            }
            if begun.elapsed() > BOOT_PATIENCE {
                bail!(
                    "{} has not started after {} s: see {}",
                    self.host.name,
                    BOOT_PATIENCE.as_secs(),
                    log.display()
                );
            }
            std::thread::sleep(POLL_PAUSE);
        };
        let (all, cluster) = (&self.cluster.cgroups, self.cluster.cgroup());
        cgroups::settle(all, &cluster, &self.host.name)?;
        links::plug(self.cluster, self.host, first)?;
        ask(&Self::socket(first), &Request::Reload)?;
        Ok(true)
    }

    /// Shuts it down in order, or at once. Says whether it was on.
    pub(crate) fn off(&self, in_order: bool) -> Result<bool> {
        let first = self.first();
        if let Some(first) = first {
            if in_order {
                first.signal(Signal::TERM)?;
                if first.ended(STOP_PATIENCE).is_err() {
                    tracing::warn!("{} did not stop in time: it is killed", self.host.name);
                }
            }
            first.signal(Signal::KILL)?;
            first.ended(KILL_PATIENCE)?;
        }
        self.unplugged();
        Ok(first.is_some())
    }

    /// What the end of its processes leaves.
    fn unplugged(&self) {
        // Links end with their namespace, which the kernel takes away when it has time.
        let link = self.cluster.link(self.host);
        if let Err(error) = crate::command::run("ip", &["link", "del", &link]) {
            tracing::debug!("{error}");
        }
        let group = Path::new(&self.cluster.cgroup()).join(&self.host.name);
        cgroups::remove(&self.cluster.cgroups, &group);
        let _ = fs::remove_file(self.record());
    }

    /// The cluster's own cgroups, once all hosts are off.
    pub(crate) fn forget(cluster: &Cluster) {
        cgroups::remove(&cluster.cgroups, Path::new(&cluster.cgroup()));
    }
}

/// `mainstay host-on NAME`: becomes, in namespaces of its own, the process that boots it. Returns only if it fails.
pub(crate) fn into_namespaces(cluster: &Cluster, host: &Host) -> Result<()> {
    cgroups::join(&cluster.cgroups, &cluster.cgroup(), &host.name)?;
    let this = std::env::current_exe().context("this program's path")?;
    let error = Command::new("unshare")
        .args([
            "--mount", "--net", "--uts", "--ipc", "--cgroup", "--pid", "--fork",
        ])
        .arg(this)
        .arg("--dir")
        .arg(cluster.folders().root())
        .args(["host-boot", &host.name])
        .exec();
    Err(error).context("unshare")
}

/// Runs a command in a host, with this program's terminal. Returns only if it fails.
pub(crate) fn enter(first: Process, command: &[String]) -> Result<()> {
    let shell = ["/bin/sh".to_owned()];
    let command = match command {
        [] => &shell,
        given => given,
    };
    let error = Command::new("nsenter")
        .args([
            "--target",
            &first.pid.to_string(),
            "--all",
            "--root",
            "--wd",
            "--",
        ])
        .args(command)
        .exec();
    Err(error).context("nsenter")
}
