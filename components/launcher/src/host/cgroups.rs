//! The cgroups of hosts: below that of whoever started the cluster, in every hierarchy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::io::Errno;

use crate::files;
use crate::limits::{KILL_PATIENCE, POLL_PAUSE};

/// The group of a host's own processes below its group, in version 2.
pub(super) const INNER: &str = "host";

/// Folders below which clusters may have cgroups.
pub(crate) fn bases() -> Vec<PathBuf> {
    let mounts = files::read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let own = files::read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    bases_of(&mounts, &own)
}

/// Takes away, in every hierarchy, a group of its root and all below it, as [`remove`] does.
pub(crate) fn remove_from_roots(group: &Path) {
    let mounts = files::read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let roots = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        // Where there is version 1, runtimes use what there is of version 2 beside it.
        let is_one = after.starts_with("cgroup ") || after.starts_with("cgroup2 ");
        is_one.then(|| before.split(' ').nth(4).map(PathBuf::from))?
    });
    remove(&roots.collect::<Vec<_>>(), group);
}

/// Version 2 alone, at its root, as groups with processes may have no others below; or all hierarchies of version 1.
fn bases_of(mounts: &str, own: &str) -> Vec<PathBuf> {
    let mut v1 = Vec::new();
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = before.split(' ').nth(4) else {
            continue;
        };
        let mut after = after.split(' ');
        let kind = after.next().unwrap_or_default();
        let options = after.nth(1).unwrap_or_default();
        match kind {
            "cgroup2" if point == "/sys/fs/cgroup" => return vec![PathBuf::from(point)],
            "cgroup" => v1.push(Path::new(point).join(own_path(own, options))),
            _ => {}
        }
    }
    v1
}

/// Where this process is in the hierarchy that has these mount options.
fn own_path(own: &str, options: &str) -> PathBuf {
    let options: Vec<&str> = options.split(',').collect();
    let mine = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let all = controllers.split(',').all(|one| options.contains(&one));
        (all && !controllers.is_empty()).then(|| fields.next())?
    });
    mine.map(|path| PathBuf::from(path.trim_start_matches('/')))
        .unwrap_or_default()
}

/// Makes a host's group in every hierarchy and moves this process there.
pub(super) fn join(bases: &[PathBuf], cluster: &str, host: &str) -> Result<()> {
    for base in bases {
        let group = base.join(cluster);
        let own = group.join(host);
        files::folder(&own)?;
        for above in [base, &group] {
            let_through(above);
        }
        // In version 1 a new group may use no CPU until it is told which.
        for (parent, child) in [(base, &group), (&group, &own)] {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                inherit(&parent.join(file), &child.join(file));
            }
        }
        let file = own.join("cgroup.procs");
        fs::write(&file, "0").with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// What limits of pods are made of.
const CONTROLLERS: [&str; 6] = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb"];

/// In version 2 the groups below have only those controllers that are let through here.
fn let_through(group: &Path) {
    let there = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    let there: Vec<&str> = there.split_whitespace().collect();
    for controller in CONTROLLERS {
        if there.contains(&controller) {
            // One that cannot be had shows where it is needed. Each for itself: together all would be refused.
            let _ = fs::write(
                group.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
}

/// In version 2 a group that lets controllers through may have no processes of its own: those that are left in a host's
/// group, such as the one that waits for its first process, go where that is. Before anything else runs there.
pub(super) fn settle(bases: &[PathBuf], cluster: &str, host: &str) -> Result<()> {
    for base in bases {
        let own = base.join(cluster).join(host);
        let inner = own.join(INNER);
        if !inner.is_dir() {
            continue;
        }
        let there = files::read(&own.join("cgroup.procs"))?;
        for pid in there.lines() {
            match fs::write(inner.join("cgroup.procs"), pid) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                moved => moved.with_context(|| inner.display().to_string())?,
            }
        }
    }
    Ok(())
}

fn inherit(from: &Path, to: &Path) {
    let (Ok(value), Ok(own)) = (fs::read(from), fs::read_to_string(to)) else {
        return;
    };
    if own.trim().is_empty() {
        // What cannot be set shows when the process is moved.
        let _ = fs::write(to, value);
    }
}

/// Takes away a group and all below it. Nothing is to run in them any more; what was killed a moment ago is waited for.
pub(super) fn remove(bases: &[PathBuf], group: &Path) {
    let begun = Instant::now();
    for base in bases {
        let group = base.join(group);
        while let Err(error) = remove_below(&group) {
            if begun.elapsed() > KILL_PATIENCE {
                tracing::warn!("{}: {error}", group.display());
                break;
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }
}

fn remove_below(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_below_the_own_ones() {
        let v1 = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                  35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                  40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let own = "9:name=systemd:/\n4:memory:/user/a:b\n1:cpu,cpuacct:/\n0::/";
        let expected = [
            "/sys/fs/cgroup/cpu,cpuacct/",
            "/sys/fs/cgroup/memory/user/a:b",
            "/sys/fs/cgroup/systemd/",
        ];
        assert_eq!(bases_of(v1, own), expected.map(PathBuf::from));
        let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let own = "0::/user.slice";
        assert_eq!(bases_of(v2, own), [PathBuf::from("/sys/fs/cgroup")]);
    }
}
