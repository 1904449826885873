//! Names of cgroups, in the two ways that runtimes know them.

use crate::spec::QosClass;

/// Who makes the cgroups of containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// The runtime, in the kernel's file system.
    #[default]
    Cgroupfs,
    /// systemd, as slices: the runtime asks it.
    Systemd,
}

/// A cgroup by the parts of its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupName(Vec<String>);

const PODS: &str = "kubepods";
const POD: &str = "pod";

impl CgroupName {
    /// The cgroup of all pods, below `--cgroup-root`.
    #[must_use]
    pub fn pods(root: &str) -> Self {
        let parts = root.split('/').filter(|part| !part.is_empty());
        let parts = parts.map(str::to_owned).chain([PODS.to_owned()]);
        Self(parts.collect())
    }

    /// The cgroup of a class of pods; guaranteed ones are directly among all pods.
    #[must_use]
    pub fn class(&self, class: QosClass) -> Self {
        match class {
            QosClass::Guaranteed => self.clone(),
            QosClass::Burstable => self.child("burstable"),
            QosClass::BestEffort => self.child("besteffort"),
        }
    }

    /// The cgroup of a pod in its class.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Self {
        self.child(&format!("{POD}{uid}"))
    }

    fn child(&self, name: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(name.to_owned());
        Self(parts)
    }

    /// As runtimes want it and, with cgroupfs, as the path below each hierarchy.
    #[must_use]
    pub fn text(&self, driver: Driver) -> String {
        match driver {
            Driver::Cgroupfs => format!("/{}", self.0.join("/")),
            Driver::Systemd => self.slices(),
        }
    }

    /// A slice's name has those of all above it.
    fn slices(&self) -> String {
        let mut path = String::new();
        let mut name = String::new();
        for part in &self.0 {
            if !name.is_empty() {
                name.push('-');
            }
            name.push_str(&part.replace('-', "_"));
            path = format!("{path}/{name}.slice");
        }
        path
    }
}

/// The pod that a cgroup is of, by the last part of its path.
pub(super) fn uid_of(folder: &str) -> Option<&str> {
    folder.strip_prefix(POD).filter(|uid| !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams() {
        for (root, class, cgroupfs, systemd) in [
            (
                "/",
                QosClass::Burstable,
                "/kubepods/burstable/pod12-ab",
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_ab.slice",
            ),
            (
                "",
                QosClass::Guaranteed,
                "/kubepods/pod12-ab",
                "/kubepods.slice/kubepods-pod12_ab.slice",
            ),
            (
                "/node-1",
                QosClass::BestEffort,
                "/node-1/kubepods/besteffort/pod12-ab",
                "/node_1.slice/node_1-kubepods.slice/node_1-kubepods-besteffort.slice/node_1-kubepods-besteffort-pod12_ab.slice",
            ),
        ] {
            let name = CgroupName::pods(root).class(class).pod("12-ab");
            assert_eq!(name.text(Driver::Cgroupfs), cgroupfs);
            assert_eq!(name.text(Driver::Systemd), systemd);
        }
        assert_eq!(uid_of("pod12-ab"), Some("12-ab"));
        assert_eq!(uid_of("pod"), None);
        assert_eq!(uid_of("burstable"), None);
    }
}
