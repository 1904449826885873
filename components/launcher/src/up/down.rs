//! From whatever there is to nothing that runs.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::cluster::{Cluster, Lock};
use crate::host::{Power, take_bridge};
use crate::join::{Joined, leave};
use crate::screen::say;
use crate::{machine, stock};

/// Flags of `mainstay down`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Down {
    /// Delete the cluster's files too.
    #[arg(long)]
    delete: bool,
}

/// Stops all hosts and takes away what they left. Harmless when repeated.
pub(crate) fn down(root: &Path, flags: Down) -> Result<()> {
    if !root.exists() {
        say("nothing was running");
        return Ok(());
    }
    if Joined::read(root)?.is_some() {
        return leave(root);
    }
    let lock = Lock::take(root)?;
    let Some(cluster) = Cluster::read(root)? else {
        say("nothing was running");
        return Ok(());
    };
    let cluster = &cluster;
    let ran = machine::off(cluster)?;
    if cluster.embedded.is_some() {
        say(match ran {
            true => "the control plane is off",
            false => "nothing was running",
        });
    } else {
        hosts(cluster)?;
    }
    if flags.delete {
        delete(root, cluster, lock)?;
    }
    Ok(())
}

/// Ends all hosts, and what the machine has for them.
fn hosts(cluster: &Cluster) -> Result<()> {
    // Workers first, so that they can still say goodbye; then the masters together, as none can do without the others.
    for masters in [false, true] {
        std::thread::scope(|scope| {
            let stopping: Vec<_> = cluster
                .hosts
                .iter()
                .filter(|host| host.is_master() == masters)
                .map(|host| (host, scope.spawn(move || Power { cluster, host }.off(true))))
                .collect();
            let mut result = Ok(());
            for (host, stopped) in stopping {
                match stopped
                    .join()
                    .unwrap_or_else(|_| bail!("a thread panicked"))
                {
                    Ok(true) => say(format!("{} is off", host.name)),
                    Ok(false) => {}
                    Err(error) => result = Err(error),
                }
            }
            result
        })?;
    }
    Power::forget(cluster);
    take_bridge(cluster)
}

/// Deletes what the cluster has written. What others have put there stays.
fn delete(root: &Path, cluster: &Cluster, lock: Lock) -> Result<()> {
    let folders = cluster.folders();
    // Nothing of the machine is mounted there any more: hosts mount in namespaces of their own.
    for folder in [folders.hosts(), folders.machine(), folders.pki()] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| folder.display().to_string());
            }
            _ => {}
        }
    }
    for file in [
        folders.kubeconfig(),
        folders.store_access(),
        folders.state(),
        root.join(".lock"),
    ] {
        let _ = fs::remove_file(file);
    }
    drop(lock);
    stock::clear(&folders.images());
    // Only if nothing else is in it, such as images that somebody loaded.
    let _ = fs::remove_dir(folders.images());
    let _ = fs::remove_dir(root);
    say("its files are deleted");
    Ok(())
}
