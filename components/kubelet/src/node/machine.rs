//! What the machine is and has, as the kernel tells.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;

/// Huge pages of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Bytes of one,
    pub size: u64,
    /// and how many there are.
    pub count: u64,
}

impl Pages {
    /// As the runtime and the kernel's cgroups name a size: `2MB`.
    pub fn runtime_name(&self) -> String {
        const KIB: u64 = 1024;
        match self.size {
            size if size >= KIB * KIB * KIB => format!("{}GB", size / (KIB * KIB * KIB)),
            size if size >= KIB * KIB => format!("{}MB", size / (KIB * KIB)),
            size => format!("{}KB", size / KIB),
        }
    }
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes of the disk that pods' files are on.
    pub disk: u64,
    pub huge_pages: Vec<Pages>,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel: String,
    pub os_image: String,
    pub hostname: String,
    /// As Go names it.
    pub architecture: String,
}

/// Asks the kernel. What it does not tell is left empty.
pub fn read_machine(root: &Path) -> Machine {
    let text = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Machine {
        cpus: cpus as u64,
        memory: memory(&text("/proc/meminfo")),
        disk: disk(root),
        huge_pages: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
        machine_id: text("/etc/machine-id"),
        system_uuid: text("/sys/class/dmi/id/product_uuid"),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        kernel: text("/proc/sys/kernel/osrelease"),
        os_image: os_image(&release),
        hostname: text("/proc/sys/kernel/hostname").to_lowercase(),
        architecture: architecture(std::env::consts::ARCH).to_owned(),
    }
}

/// Bytes, from `/proc/meminfo`.
fn memory(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

fn disk(root: &Path) -> u64 {
    rustix::fs::statvfs(root).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize))
}

fn huge_pages(folder: &Path) -> Vec<Pages> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let size = name.to_str().and_then(|name| {
            name.strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse::<u64>()
                .ok()
        });
        let count = fs::read_to_string(entry.path().join("nr_hugepages"));
        let count = count.ok().and_then(|text| text.trim().parse().ok());
        if let (Some(size), Some(count)) = (size, count) {
            all.push(Pages {
                size: size.saturating_mul(1024),
                count,
            });
        }
    }
    all.sort_by_key(|pages| pages.size);
    all
}

fn os_image(release: &str) -> String {
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

/// Go's names.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The address that this machine has for the rest of the world: that of the route out of it. Nothing is sent.
pub(crate) fn own_address() -> IpAddr {
    // Documentation addresses: there is a route to them if there is one to anywhere.
    let routes = [
        (
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        ),
        (
            IpAddr::from(Ipv6Addr::UNSPECIFIED),
            IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ),
    ];
    for (any, far) in routes {
        let socket = UdpSocket::bind((any, 0)).ok();
        let own = socket.and_then(|socket| {
            socket.connect((far, 9)).ok()?;
            socket.local_addr().ok()
        });
        if let Some(own) = own {
            return own.ip();
        }
    }
    IpAddr::from(Ipv4Addr::LOCALHOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        assert_eq!(
            memory("MemTotal:       24576 kB\nMemFree: 1 kB"),
            24576 * 1024
        );
        assert_eq!(memory("nothing"), 0);
        assert_eq!(
            os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"),
            "Debian GNU/Linux 12"
        );
        let machine = read_machine(Path::new("/"));
        assert!(machine.cpus > 0 && machine.memory > 0 && machine.disk > 0);
        assert!(!machine.kernel.is_empty());
    }
}
