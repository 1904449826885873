//! From a machine that has joined to one as it was before.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use mainstay_cri::{
    ListPodSandboxRequest, RemovePodSandboxRequest, Runtime, StopPodSandboxRequest,
};
use tokio::time::sleep;

use super::joined::Joined;
use super::run::PROTOCOL;
use super::services::Services;
use crate::cluster::{BRIDGE, Lock};
use crate::command::run;
use crate::host::{MachineLock, forward_no_more, links, remove_from_roots};
use crate::limits::{POLL_PAUSE, RUNTIME_PATIENCE};
use crate::network::withdraw;
use crate::screen::{complain, say};
use crate::up::wait;
use crate::{files, machine};

/// Ends everything, takes away what it made and forgets it. Goes on where an earlier one was stopped.
pub(crate) fn leave(root: &Path) -> Result<()> {
    if !root.exists() {
        say("this machine has not joined a cluster");
        return Ok(());
    }
    let lock = Lock::take(root)?;
    let Some(joined) = Joined::read(root)? else {
        say("this machine has not joined a cluster");
        return Ok(());
    };
    let this = std::env::current_exe().context("this program's path")?;
    let services = Services {
        joined: &joined,
        this: &this,
    };
    // Where it did not get as far as a runtime there are no pods.
    if joined.etc("containerd.toml").exists() {
        files::folder(&joined.run())?;
        machine::keep(&joined.machine(), &[services.runtime()], &this)?;
        wait(pods(&joined))?;
    }
    machine::end_all(&joined.machine())?;
    run(
        &services.ours("proxy").display().to_string(),
        &["--cleanup"],
    )?;
    withdraw()?;
    run("ip", &["-4", "route", "flush", "proto", PROTOCOL])?;
    let network = MachineLock::take()?;
    if !links().iter().any(|link| link.starts_with(BRIDGE)) {
        forward_no_more(&network)?;
    }
    drop(network);
    remove_from_roots(Path::new(&joined.cgroup()));
    for point in mounted(&joined)? {
        run("umount", &["-l", &point.display().to_string()])?;
    }
    joined.forget()?;
    let _ = std::fs::remove_file(root.join(".lock"));
    drop(lock);
    let _ = std::fs::remove_dir(root);
    say(format!(
        "this machine has left. Where the cluster's administrator is: kubectl delete node {}",
        joined.name
    ));
    Ok(())
}

/// Ends all pods, with their links and addresses.
async fn pods(joined: &Joined) -> Result<()> {
    let endpoint = format!("unix://{}", joined.runtime().socket().display());
    let runtime = Runtime::new(&endpoint).map_err(anyhow::Error::msg)?;
    let begun = Instant::now();
    let list = loop {
        match runtime.call(ListPodSandboxRequest { filter: None }).await {
            Ok(list) => break list,
            Err(error) if begun.elapsed() > RUNTIME_PATIENCE => {
                return Err(error).context("asking containerd for its pods");
            }
            Err(_) => sleep(POLL_PAUSE).await,
        }
    };
    let mut failed = 0_usize;
    for sandbox in list.items {
        let id = sandbox.id;
        let stop = StopPodSandboxRequest {
            pod_sandbox_id: id.clone(),
        };
        let remove = RemovePodSandboxRequest {
            pod_sandbox_id: id.clone(),
        };
        let ended = match runtime.call(stop).await {
            Ok(_) => runtime.call(remove).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            complain(format!("the pod sandbox {id}: {error}"));
            failed += 1;
        }
    }
    match failed {
        0 => Ok(()),
        some => bail!("{some} pods do not end: 'mainstay leave' tries it again"),
    }
}

/// What is still mounted in its folders, the innermost first.
fn mounted(joined: &Joined) -> Result<Vec<PathBuf>> {
    let table = files::read(Path::new("/proc/self/mountinfo"))?;
    let run = joined.run();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut points: Vec<PathBuf> = points
        .map(|point| PathBuf::from(point.replace("\\040", " ")))
        .filter(|point| {
            let is_below = |folder: &Path| point.starts_with(folder) && point != folder;
            is_below(&joined.root) || is_below(&run)
        })
        .collect();
    points.sort();
    points.reverse();
    Ok(points)
}
