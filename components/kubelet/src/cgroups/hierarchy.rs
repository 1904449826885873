//! Where the kernel's cgroups are: version 1 has a tree for each controller, version 2 has one for all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The trees of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    /// By controller, as `cpu`. Some share a tree.
    V1(BTreeMap<String, PathBuf>),
    V2(PathBuf),
}

/// What is mounted here decides about the version.
const ROOT: &str = "/sys/fs/cgroup";
/// Trees without a controller are systemd's.
const CONTROLLERS: [&str; 11] = [
    "blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "net_cls",
    "net_prio", "pids",
];

impl Hierarchy {
    /// Of this machine.
    ///
    /// # Errors
    /// If there is none.
    pub fn detect() -> io::Result<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo")?;
        Self::parse(&table).ok_or_else(|| {
            let why = "no cgroups are mounted below /sys/fs/cgroup";
            io::Error::new(io::ErrorKind::NotFound, why)
        })
    }

    fn parse(table: &str) -> Option<Self> {
        let mut trees: BTreeMap<String, PathBuf> = BTreeMap::new();
        for line in table.lines() {
            let Some((mount, source)) = line.split_once(" - ") else {
                continue;
            };
            let path = mount.split(' ').nth(4).unwrap_or_default();
            let mut source = source.split(' ');
            match source.next() {
                Some("cgroup2") if path == ROOT => return Some(Self::V2(path.into())),
                Some("cgroup") => {
                    let options = source.nth(1).unwrap_or_default();
                    for option in options.split(',').filter(|o| CONTROLLERS.contains(o)) {
                        // Of several mounts of one tree the one with the shortest path.
                        let known = trees
                            .entry(option.to_owned())
                            .or_insert_with(|| path.into());
                        if path.len() < known.as_os_str().len() {
                            *known = path.into();
                        }
                    }
                }
                _ => {}
            }
        }
        (!trees.is_empty()).then_some(Self::V1(trees))
    }

    /// The folder of a cgroup in each tree, without those that are there twice.
    #[must_use]
    pub fn folders(&self, cgroup: &str) -> Vec<PathBuf> {
        let below = |root: &Path| root.join(cgroup.trim_start_matches('/'));
        match self {
            Self::V2(root) => vec![below(root)],
            Self::V1(trees) => {
                let mut folders: Vec<_> = trees.values().map(|root| below(root)).collect();
                folders.sort();
                folders.dedup();
                folders
            }
        }
    }

    /// The folder of a cgroup in a controller's tree.
    #[must_use]
    pub fn folder(&self, controller: &str, cgroup: &str) -> Option<PathBuf> {
        let root = match self {
            Self::V2(root) => root,
            Self::V1(trees) => trees.get(controller)?,
        };
        Some(root.join(cgroup.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_has_trees_that_controllers_may_share() {
        let table = "25 22 0:21 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     26 25 0:22 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                     27 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                     28 25 0:24 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                     29 25 0:24 / /else/where/memory/is/longer rw shared:9 - cgroup cgroup rw,memory\n\
                     30 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchy::parse(table).expect("there");
        let folders = found.folders("/kubepods/x");
        let expected = [
            "/sys/fs/cgroup/cpu,cpuacct/kubepods/x",
            "/sys/fs/cgroup/memory/kubepods/x",
        ];
        assert_eq!(folders, expected.map(PathBuf::from));
        assert_eq!(
            found.folder("memory", "/a"),
            Some("/sys/fs/cgroup/memory/a".into())
        );
        assert_eq!(found.folder("pids", "/a"), None);
    }

    #[test]
    fn version_2_has_one() {
        let table = "25 22 0:21 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = Hierarchy::parse(table).expect("there");
        assert_eq!(found, Hierarchy::V2(ROOT.into()));
        assert_eq!(found.folders("/a"), [PathBuf::from("/sys/fs/cgroup/a")]);
        assert_eq!(Hierarchy::parse("1 1 0:1 / / rw - ext4 x rw"), None);
    }
}
