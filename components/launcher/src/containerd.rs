//! The container runtime of a host: how it is set up, and which images it has.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::doctor;
use crate::files;
use crate::stock::PAUSE;

/// Where it finds and leaves things.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Images and containers.
    pub(crate) root: PathBuf,
    /// What ends with the machine, and its socket.
    pub(crate) state: PathBuf,
    pub(crate) cni: PathBuf,
    pub(crate) registries: PathBuf,
}

impl Places {
    /// Those where everybody expects them.
    fn of_host() -> Self {
        Self {
            root: PathBuf::from("/var/lib/containerd"),
            state: PathBuf::from("/run/containerd"),
            cni: PathBuf::from("/etc/cni/net.d"),
            registries: PathBuf::from("/etc/containerd/certs.d"),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state.join("containerd.sock")
    }
}

/// Writes its configuration on a host's disk.
pub(crate) fn configure(disk: &Path) -> Result<()> {
    files::folder(&disk.join("etc/containerd/certs.d"))?;
    let path = disk.join("etc/containerd/config.toml");
    configure_at(&path, &Places::of_host())
}

/// Writes its configuration for these places.
pub(crate) fn configure_at(path: &Path, places: &Places) -> Result<()> {
    let plugins = doctor::plugins().context("there are no CNI plugins")?;
    let text = config(&plugins.display().to_string(), places, can_raise_priority());
    files::update(path, text.as_bytes(), 0o644).map(|_| ())
}

fn config(plugins: &str, places: &Places, raises_priority: bool) -> String {
    let text = |path: &Path| path.display().to_string();
    let (root, state) = (text(&places.root), text(&places.state));
    let (cni, registries) = (text(&places.cni), text(&places.registries));
    let socket = text(&places.socket());
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = {}

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{registries}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
"#,
        !raises_priority
    )
}

/// Whether processes may be protected from the kernel when memory is short. Where they may not, a sandbox that asks
/// for it does not start.
fn can_raise_priority() -> bool {
    let path = "/proc/self/oom_score_adj";
    let Ok(now) = std::fs::read_to_string(path) else {
        return false;
    };
    let raised = std::fs::write(path, "-999").is_ok();
    let _ = std::fs::write(path, now);
    raised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_ask_only_for_what_they_get() {
        let text = config("/usr/lib/cni", &Places::of_host(), false);
        assert!(text.contains("restrict_oom_score_adj = true"));
        assert!(text.contains("address = \"/run/containerd/containerd.sock\""));
        assert!(text.contains("bin_dir = \"/usr/lib/cni\""));
    }
}
