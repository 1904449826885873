//! Where files of pods are: the layout of folders is upstream's, since log collectors and CNI plugins know it.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

/// The two roots below which everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `/var/lib/kubelet`
    pub root: PathBuf,
    /// `/var/log/pods`
    pub logs: PathBuf,
}

impl Layout {
    #[must_use]
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    #[must_use]
    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    /// All volumes of a pod.
    #[must_use]
    pub fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    /// One volume of a pod; `plugin` as in `kubernetes.io/empty-dir`.
    #[must_use]
    pub fn volume(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.volumes(uid).join(plugin.replace('/', "~")).join(name)
    }

    /// Bind mounts that stand for sub paths of volumes.
    #[must_use]
    pub fn sub_paths(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volume-subpaths")
    }

    /// What belongs to one container: its termination logs.
    #[must_use]
    pub fn container(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("containers").join(container)
    }

    #[must_use]
    pub fn hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// Folder of a pod's logs; an instance of a container writes [`container_log`] in it.
    #[must_use]
    pub fn pod_logs(&self, pod: &Pod) -> PathBuf {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let metadata = &pod.metadata;
        let (namespace, name, uid) = (
            text(&metadata.namespace),
            text(&metadata.name),
            text(&metadata.uid),
        );
        self.logs.join(format!("{namespace}_{name}_{uid}"))
    }
}

impl Layout {
    /// Links to all containers' logs: `/var/log/containers`, beside the folder of pods' logs.
    #[must_use]
    pub fn log_links(&self) -> PathBuf {
        self.logs.with_file_name("containers")
    }
}

/// Path of a container's log within its pod's folder of logs.
#[must_use]
pub fn container_log(container: &str, restarts: u32) -> String {
    format!("{container}/{restarts}.log")
}

/// The pod whose logs lie in a folder of this name.
#[must_use]
pub fn uid_of_logs(folder: &Path) -> Option<&str> {
    let name = folder.file_name()?.to_str()?;
    Some(name.rsplit_once('_')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::pod;

    #[test]
    fn the_layout_is_upstreams() {
        let layout = Layout {
            root: "/var/lib/kubelet".into(),
            logs: "/var/log/pods".into(),
        };
        let logs = layout.pod_logs(&pod("containers: []"));
        assert_eq!(logs, Path::new("/var/log/pods/ns_p_u-1"));
        assert_eq!(uid_of_logs(&logs), Some("u-1"));
        assert_eq!(layout.log_links(), Path::new("/var/log/containers"));
        assert_eq!(container_log("web", 3), "web/3.log");
        assert_eq!(
            layout.volume("u-1", "kubernetes.io/empty-dir", "v"),
            Path::new("/var/lib/kubelet/pods/u-1/volumes/kubernetes.io~empty-dir/v")
        );
    }
}
