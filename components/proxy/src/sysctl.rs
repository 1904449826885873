//! Settings of the kernel's connection tracking.

use std::path::Path;
use std::time::Duration;

/// What flags say of connection tracking; what is zero or None is left as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    pub max_per_core: u32,
    /// The least number of connections, unless `max_per_core` is 0.
    pub min: u32,
    pub tcp_established: Duration,
    pub tcp_close_wait: Duration,
    pub udp: Duration,
    pub udp_stream: Duration,
    /// Whether TCP packets outside of the window are let through.
    pub be_liberal: bool,
}

impl Tracking {
    /// Applies it below `root`, which is `/proc/sys` but for tests. A limit is raised and never lowered. What cannot be
    /// set is logged: within containers it often cannot, and the kernel's own settings do.
    pub fn apply(&self, root: &Path, cores: usize) {
        let root = root.join("net/netfilter");
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let max = match self.max_per_core {
            0 => 0,
            per_core => per_core.saturating_mul(cores).max(self.min),
        };
        let current = std::fs::read_to_string(root.join("nf_conntrack_max"));
        let current: u32 = current
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if max > current {
            set(&root.join("nf_conntrack_max"), u64::from(max));
        }
        for (name, time) in [
            ("nf_conntrack_tcp_timeout_established", self.tcp_established),
            ("nf_conntrack_tcp_timeout_close_wait", self.tcp_close_wait),
            ("nf_conntrack_udp_timeout", self.udp),
            ("nf_conntrack_udp_timeout_stream", self.udp_stream),
        ] {
            if !time.is_zero() {
                set(&root.join(name), time.as_secs());
            }
        }
        if self.be_liberal {
            set(&root.join("nf_conntrack_tcp_be_liberal"), 1);
        }
    }
}

fn set(path: &Path, value: u64) {
    let known = std::fs::read_to_string(path).unwrap_or_default();
    if known.trim() == value.to_string() {
        return;
    }
    if let Err(error) = std::fs::write(path, format!("{value}\n")) {
        tracing::warn!("{} stays as it is: {error}", path.display());
    }
}
