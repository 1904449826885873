//! Cgroups made, bounded, emptied and removed.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;

use rustix::process::{Pid, Signal, kill_process};

use super::bounds::Bounds;
use super::hierarchy::Hierarchy;
use crate::limits::{CGROUP_ATTEMPTS, CGROUP_DEPTH_MAX, CGROUP_PAUSE};

/// Makes a cgroup in every tree, with all above it. One that is there stays as it is.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn create(hierarchy: &Hierarchy, cgroup: &str) -> io::Result<()> {
    match hierarchy {
        Hierarchy::V1(trees) => {
            for (controller, root) in trees {
                create_v1(controller, root, cgroup).map_err(|e| about(root, cgroup, &e))?;
            }
            Ok(())
        }
        Hierarchy::V2(root) => create_v2(root, cgroup).map_err(|e| about(root, cgroup, &e)),
    }
}

fn about(root: &Path, cgroup: &str, error: &io::Error) -> io::Error {
    let why = format!("cgroup {}{cgroup}: {error}", root.display());
    io::Error::new(error.kind(), why)
}

fn parts(cgroup: &str) -> impl Iterator<Item = &str> {
    cgroup.split('/').filter(|part| !part.is_empty())
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn create_v1(controller: &str, root: &Path, cgroup: &str) -> io::Result<()> {
    let mut folder = root.to_owned();
    for part in parts(cgroup) {
        let parent = folder.clone();
        folder.push(part);
        make(&folder)?;
        if controller == "cpuset" {
            // A new one has no CPU and no memory, and no process can enter it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if fs::read_to_string(folder.join(file))?.trim().is_empty() {
                    let given = fs::read_to_string(parent.join(file))?;
                    fs::write(folder.join(file), given.trim())?;
                }
            }
        }
    }
    Ok(())
}

fn create_v2(root: &Path, cgroup: &str) -> io::Result<()> {
    let mut folder = root.to_owned();
    for part in parts(cgroup) {
        // Controllers must be let through by each cgroup above.
        let there = fs::read_to_string(folder.join("cgroup.controllers"))?;
        for controller in there.split_whitespace() {
            let allowed = fs::write(
                folder.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
            if let Err(error) = allowed {
                tracing::debug!(folder = %folder.display(), controller, "not let through: {error}");
            }
        }
        folder.push(part);
        make(&folder)?;
    }
    Ok(())
}

/// Bounds a cgroup. What a controller that is not there would have to do is left out.
///
/// # Errors
/// If the kernel refuses, as it does with less memory than is in use.
pub(super) fn bound(hierarchy: &Hierarchy, cgroup: &str, bounds: &Bounds) -> io::Result<()> {
    for (controller, file, value) in bounds.files(hierarchy) {
        let Some(folder) = hierarchy.folder(controller, cgroup) else {
            continue;
        };
        let path = folder.join(file);
        match fs::write(&path, &value) {
            Err(error) if error.kind() == ErrorKind::NotFound && folder.exists() => {
                tracing::debug!(path = %path.display(), "the kernel has no such bound");
            }
            Err(error) => {
                let why = format!("writing {value} into {}: {error}", path.display());
                return Err(io::Error::new(error.kind(), why));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Ends all processes in a cgroup and removes it with all below it. Blocks, for up to a second.
///
/// # Errors
/// If something in it does not end; it can be tried again.
pub(super) fn remove(hierarchy: &Hierarchy, cgroup: &str) -> io::Result<()> {
    let folders = hierarchy.folders(cgroup);
    let mut result = Ok(());
    for attempt in 0..CGROUP_ATTEMPTS {
        if attempt > 0 {
            sleep(CGROUP_PAUSE);
        }
        result = folders.iter().try_for_each(|folder| {
            end_processes(folder)?;
            remove_folder(folder, 0)
        });
        if result.is_ok() {
            break;
        }
    }
    result
}

fn end_processes(folder: &Path) -> io::Result<()> {
    for folder in below(folder)? {
        let Ok(pids) = fs::read_to_string(folder.join("cgroup.procs")) else {
            continue;
        };
        let pids = pids
            .lines()
            .filter_map(|line| Pid::from_raw(line.trim().parse().ok()?));
        for pid in pids {
            tracing::info!(pid = pid.as_raw_nonzero(), cgroup = %folder.display(), "ended: its pod is gone");
            // One that ended meanwhile is none; one that cannot be ended shows when the cgroup is removed.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

/// It and all folders below it.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(folder) = found.get(at).cloned() {
        at += 1;
        found.extend(folders_in(&folder)?);
    }
    Ok(found)
}

fn folders_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove_folder(folder: &Path, depth: usize) -> io::Result<()> {
    if depth > CGROUP_DEPTH_MAX {
        return Err(io::Error::other(format!(
            "cgroups are deeper than {CGROUP_DEPTH_MAX}"
        )));
    }
    for inner in folders_in(folder)? {
        remove_folder(&inner, depth + 1)?;
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            let why = format!("removing {}: {error}", folder.display());
            Err(io::Error::new(error.kind(), why))
        }
        _ => Ok(()),
    }
}

/// Names of the cgroups in a cgroup, over all trees.
///
/// # Errors
/// If they cannot be read.
pub(super) fn children(hierarchy: &Hierarchy, cgroup: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in hierarchy.folders(cgroup) {
        for inner in folders_in(&folder)? {
            names.extend(
                inner
                    .file_name()
                    .and_then(|name| name.to_str())
                    .map(str::to_owned),
            );
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}
