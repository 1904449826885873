//! What runs on the machine itself, under a supervisor of its own: the way in for its users.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::cluster::{Cluster, of_machine};
use crate::files;
use crate::host::Process;
use crate::limits::{BOOT_PATIENCE, KILL_PATIENCE, POLL_PAUSE, STOP_PATIENCE};
use crate::supervise::{Request, ask};

fn record(cluster: &Cluster) -> PathBuf {
    cluster.folders().machine().join("first-process.json")
}

/// The machine's supervisor, if it runs.
pub(crate) fn first(cluster: &Cluster) -> Option<Process> {
    Process::recorded(&record(cluster))
}

/// Where it listens. Paths of sockets are short, so it is reached through its working folder.
pub(crate) fn socket(first: Process) -> PathBuf {
    first.file("cwd/supervisor.sock")
}

/// Starts it if it does not run, and lets it read what is to run.
pub(crate) fn on(cluster: &Cluster) -> Result<()> {
    let folder = cluster.folders().machine();
    files::folder(&folder)?;
    let this = std::env::current_exe().context("this program's path")?;
    let services = of_machine(cluster, &this.display().to_string());
    let text = serde_json::to_vec_pretty(&services).context("services")?;
    files::update(&folder.join("services.json"), &text, 0o600)?;
    if let Some(first) = first(cluster) {
        ask(&socket(first), &Request::Reload)?;
        return Ok(());
    }
    let log = folder.join("supervisor.log");
    let output = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
    let mut child = Command::new(this)
        .arg("supervise")
        .arg(&folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("its log")?)
        .stderr(output)
        .spawn()
        .context("starting the supervisor")?;
    let begun = Instant::now();
    let process = Process::of(&child.id().to_string()).context("the supervisor ended at once")?;
    while !socket(process).exists() {
        if child.try_wait().context("the supervisor")?.is_some() {
            let said = files::read(&log).unwrap_or_default();
            bail!("the supervisor did not start: {}", said.trim());
        }
        if begun.elapsed() > BOOT_PATIENCE {
            bail!("the supervisor does not listen: see {}", log.display());
        }
        std::thread::sleep(POLL_PAUSE);
    }
    process.record(&record(cluster))
}

/// Ends it and what it started.
pub(crate) fn off(cluster: &Cluster) -> Result<bool> {
    let Some(first) = first(cluster) else {
        return Ok(false);
    };
    first.signal(Signal::TERM)?;
    if first.ended(STOP_PATIENCE).is_err() {
        first.signal(Signal::KILL)?;
        first.ended(KILL_PATIENCE)?;
    }
    let _ = std::fs::remove_file(record(cluster));
    Ok(true)
}
