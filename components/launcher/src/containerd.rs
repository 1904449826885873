//! The container runtime of a host: how it is set up, and which images it has.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::doctor;
use crate::files;
use crate::stock::PAUSE;

/// Writes its configuration on a host's disk.
pub(crate) fn configure(disk: &Path) -> Result<()> {
    let plugins = doctor::plugins().context("there are no CNI plugins")?;
    let text = config(&plugins.display().to_string(), can_raise_priority());
    files::folder(&disk.join("etc/containerd/certs.d"))?;
    let path = disk.join("etc/containerd/config.toml");
    files::update(&path, text.as_bytes(), 0o644).map(|_| ())
}

/// Each host has its own, in the places where everybody expects it.
fn config(plugins: &str, raises_priority: bool) -> String {
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = {}

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"

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
        let text = config("/usr/lib/cni", false);
        assert!(text.contains("restrict_oom_score_adj = true"));
        assert!(text.contains("bin_dir = \"/usr/lib/cni\""));
    }
}
