//! What runs on the machine itself, under a supervisor of its own: the way in for its users, or a whole control plane.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::cluster::{Cluster, of_machine};
use crate::files;
use crate::host::Process;
use crate::limits::{BOOT_PATIENCE, KILL_PATIENCE, POLL_PAUSE, STOP_PATIENCE};
use crate::supervise::{Request, Service, ask};

/// In the environment of the supervisor and of all that it starts: whose they are. When a supervisor is killed, what it
/// started goes on, and is found by this.
const MARK: &str = "MAINSTAY_SUPERVISED";

fn record(folder: &Path) -> PathBuf {
    folder.join("first-process.json")
}

/// The machine's supervisor, if it runs.
pub(crate) fn first(cluster: &Cluster) -> Option<Process> {
    first_in(&cluster.folders().machine())
}

/// The supervisor of a folder, if it runs.
pub(crate) fn first_in(folder: &Path) -> Option<Process> {
    Process::recorded(&record(folder))
}

/// Where it listens. Paths of sockets are short, so it is reached through its working folder.
pub(crate) fn socket(first: Process) -> PathBuf {
    first.file("cwd/supervisor.sock")
}

/// What a supervisor that was killed has left running.
fn left(folder: &Path) -> Vec<Process> {
    let mut mark = format!("{MARK}=").into_bytes();
    mark.extend_from_slice(folder.as_os_str().as_encoded_bytes());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let marked = entries.filter(|entry| {
        // Others' processes do not show theirs.
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark)
    });
    let names = marked.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|pid| Process::of(&pid)).collect()
}

/// Ends that. Says whether there was anything.
pub(crate) fn sweep(cluster: &Cluster) -> Result<bool> {
    sweep_in(&cluster.folders().machine())
}

/// The same for a folder.
pub(crate) fn sweep_in(folder: &Path) -> Result<bool> {
    let left = left(folder);
    for process in &left {
        process.signal(Signal::TERM)?;
    }
    for process in &left {
        end(*process)?;
    }
    Ok(!left.is_empty())
}

/// Waits for the end of a process that was told to end, and makes it end after its time.
fn end(process: Process) -> Result<()> {
    if process.ended(STOP_PATIENCE).is_err() {
        process.signal(Signal::KILL)?;
        process.ended(KILL_PATIENCE)?;
    }
    Ok(())
}

/// Starts it if it does not run, and lets it read what is to run.
pub(crate) fn on(cluster: &Cluster) -> Result<()> {
    let this = std::env::current_exe().context("this program's path")?;
    keep(
        &cluster.folders().machine(),
        &of_machine(cluster, &this),
        &this,
    )
}

/// Lets the supervisor of a folder keep these running and nothing else; starts it if it does not run.
pub(crate) fn keep(folder: &Path, services: &[Service], this: &Path) -> Result<()> {
    files::folder(folder)?;
    let text = serde_json::to_vec_pretty(services).context("services")?;
    files::update(&folder.join("services.json"), &text, 0o600)?;
    if let Some(first) = first_in(folder) {
        ask(&socket(first), &Request::Reload)?;
        return Ok(());
    }
    sweep_in(folder)?;
    let log = folder.join("supervisor.log");
    let output = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
    let mut child = Command::new(this)
        .arg("supervise")
        .arg(folder)
        .env(MARK, folder)
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
    process.record(&record(folder))
}

/// Ends it and what it started.
pub(crate) fn off(cluster: &Cluster) -> Result<bool> {
    end_all(&cluster.folders().machine())
}

/// The same for the supervisor of a folder.
pub(crate) fn end_all(folder: &Path) -> Result<bool> {
    let first = first_in(folder);
    if let Some(first) = first {
        first.signal(Signal::TERM)?;
        end(first)?;
    }
    let left = sweep_in(folder)?;
    let _ = std::fs::remove_file(record(folder));
    Ok(first.is_some() || left)
}
