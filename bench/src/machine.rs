//! What the report says about the machine: enough to judge the numbers, nothing that names a place.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::load::fd_limit;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    memory_gib: u64,
    kernel: String,
    data_filesystem: String,
    load_average: String,
    fd_limit: u64,
}

impl Machine {
    /// Looks at this machine; `data` is the folder that data folders are made in.
    pub(crate) fn look(data: &Path) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let after = |text: &str, key: &str| {
            let line = text
                .lines()
                .find(|l| l.starts_with(key))
                .unwrap_or_default();
            line.split_once(':')
                .map(|(_, v)| v.trim().to_owned())
                .unwrap_or_default()
        };
        let memory = after(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: after(&read("/proc/cpuinfo"), "model name"),
            memory_gib: kib.div_ceil(1024 * 1024),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            data_filesystem: filesystem(data),
            load_average: read("/proc/loadavg")
                .split(' ')
                .take(2)
                .collect::<Vec<_>>()
                .join(" "),
            fd_limit: fd_limit(),
        }
    }

    /// Lines of a markdown list.
    pub(crate) fn markdown(&self) -> String {
        format!(
            "- {} cores ({}), {} GiB, Linux {}\n- data on {}; load average before the run {}\n\
             - limit of open files: {} per process\n",
            self.cores,
            self.cpu,
            self.memory_gib,
            self.kernel,
            self.data_filesystem,
            self.load_average,
            self.fd_limit
        )
    }
}

/// The load average of one and five minutes: what else was going on.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn filesystem(path: &Path) -> String {
    match rustix::fs::statfs(path).map(|s| s.f_type) {
        Ok(0xef53) => "ext4".to_owned(),
        Ok(0x5846_5342) => "xfs".to_owned(),
        Ok(0x9123_683e) => "btrfs".to_owned(),
        Ok(0x794c_7630) => "overlayfs".to_owned(),
        Ok(0x0102_1994) => "tmpfs (in memory: fsync costs nothing here)".to_owned(),
        Ok(other) => format!("a file system of type {other:#x}"),
        Err(e) => format!("unknown ({e})"),
    }
}

/// The first line of `binary --version`.
pub(crate) fn version(binary: &Path) -> String {
    let output = Command::new(binary)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    let text = output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .next()
        .unwrap_or("unknown version")
        .trim()
        .to_owned()
}
