//! What the kernel says of a cgroup, of the whole machine, of interfaces and of file systems.

use std::fs;
use std::path::Path;

use super::summary::{Fs, Interface, Memory, Network};
use crate::cgroups::Hierarchy;

/// Above this a limit is none: version 1 of cgroups has no other word for it.
const NO_LIMIT: u64 = 1 << 62;
/// Entries of a folder that are counted, with those below it.
const ENTRIES_MAX: usize = 10_000;

/// Nanoseconds of CPU that a cgroup has used. `"/"` is the whole machine.
pub(super) fn cpu(hierarchy: &Hierarchy, cgroup: &str) -> Option<u64> {
    match hierarchy {
        Hierarchy::V1(_) => number(&hierarchy.folder("cpuacct", cgroup)?.join("cpuacct.usage")),
        Hierarchy::V2(_) => {
            let text = fs::read_to_string(hierarchy.folder("cpu", cgroup)?.join("cpu.stat"));
            field(&text.ok()?, "usage_usec")?.checked_mul(1000)
        }
    }
}

/// Memory of a cgroup.
pub(super) fn memory(hierarchy: &Hierarchy, cgroup: &str) -> Option<Memory> {
    let folder = hierarchy.folder("memory", cgroup)?;
    let (usage, limit) = match hierarchy {
        Hierarchy::V1(_) => ("memory.usage_in_bytes", "memory.limit_in_bytes"),
        Hierarchy::V2(_) => ("memory.current", "memory.max"),
    };
    let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
    let usage = number(&folder.join(usage))?;
    let limit = number(&folder.join(limit)).filter(|limit| *limit < NO_LIMIT);
    let v2 = matches!(hierarchy, Hierarchy::V2(_));
    Some(memory_of(&stat, usage, limit, v2))
}

fn memory_of(stat: &str, usage: u64, limit: Option<u64>, v2: bool) -> Memory {
    let of = |v1_name: &str, v2_name: &str| field(stat, if v2 { v2_name } else { v1_name });
    let inactive = of("total_inactive_file", "inactive_file").unwrap_or(0);
    let working = usage.saturating_sub(inactive);
    Memory {
        usage_bytes: Some(usage),
        working_set_bytes: Some(working),
        available_bytes: limit.map(|limit| limit.saturating_sub(working)),
        rss_bytes: of("total_rss", "anon"),
        page_faults: of("total_pgfault", "pgfault"),
        major_page_faults: of("total_pgmajfault", "pgmajfault"),
        ..Memory::default()
    }
}

/// Memory of the whole machine, from `/proc/meminfo`. What files occupy and nobody has used for a while does not count.
pub(super) fn machine_memory(meminfo: &str) -> Option<Memory> {
    let kilobytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        let text = line.strip_prefix(':')?.trim().trim_end_matches(" kB");
        text.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let total = kilobytes("MemTotal")?;
    let usage = total.saturating_sub(kilobytes("MemFree")?);
    let working = usage.saturating_sub(kilobytes("Inactive(file)").unwrap_or(0));
    Some(Memory {
        usage_bytes: Some(usage),
        working_set_bytes: Some(working),
        available_bytes: Some(total.saturating_sub(working)),
        rss_bytes: kilobytes("AnonPages"),
        ..Memory::default()
    })
}

/// Interfaces, from `/proc/net/dev`; `main` is the one that leads out.
pub(super) fn network(dev: &str, main: Option<&str>) -> Network {
    let mut interfaces = Vec::new();
    for line in dev.lines() {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let name = name.trim();
        let numbers: Vec<Option<u64>> = rest
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        if name == "lo" || numbers.len() < 11 {
            continue;
        }
        interfaces.push(Interface {
            name: name.to_owned(),
            rx_bytes: numbers[0],
            rx_errors: numbers[2],
            tx_bytes: numbers[8],
            tx_errors: numbers[10],
        });
    }
    let first = interfaces
        .iter()
        .find(|one| Some(one.name.as_str()) == main);
    Network {
        time: String::new(),
        main: first.cloned().unwrap_or_default(),
        interfaces,
    }
}

/// The interface of the default route, from `/proc/net/route`.
pub(super) fn way_out(route: &str) -> Option<&str> {
    let mut lines = route.lines().skip(1).map(str::split_whitespace);
    lines.find_map(|mut words| {
        let name = words.next()?;
        (words.next()? == "00000000").then_some(name)
    })
}

/// The file system of a folder.
pub(super) fn file_system(folder: &Path) -> Option<Fs> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Fs {
        available_bytes: Some(bytes(stat.f_bavail)),
        capacity_bytes: Some(bytes(stat.f_blocks)),
        used_bytes: Some(bytes(stat.f_blocks.saturating_sub(stat.f_bfree))),
        inodes_free: Some(stat.f_ffree),
        inodes: Some(stat.f_files),
        inodes_used: Some(stat.f_files.saturating_sub(stat.f_ffree)),
        ..Fs::default()
    })
}

/// Bytes on disk and inodes below a folder, of its own file system's files. Not more than is bearable is counted.
pub(super) fn folder_usage(folder: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    let (mut bytes, mut inodes) = (0_u64, 0_u64);
    let mut left = ENTRIES_MAX;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if left == 0 {
                return (bytes, inodes);
            }
            left -= 1;
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            inodes += 1;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    (bytes, inodes)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `name value` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(key, _)| *key == name)?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        let v1 =
            "cache 1\ntotal_rss 7\ntotal_inactive_file 30\ntotal_pgfault 5\ntotal_pgmajfault 2\n";
        let memory = memory_of(v1, 100, Some(1000), false);
        assert_eq!(memory.working_set_bytes, Some(70));
        assert_eq!(memory.available_bytes, Some(930));
        assert_eq!((memory.rss_bytes, memory.page_faults), (Some(7), Some(5)));
        let v2 = "anon 9\ninactive_file 200\n";
        let memory = memory_of(v2, 100, None, true);
        assert_eq!(memory.working_set_bytes, Some(0));
        assert_eq!((memory.rss_bytes, memory.available_bytes), (Some(9), None));
        let folder = tempfile::tempdir().expect("a folder");
        let hierarchy = Hierarchy::V2(folder.path().to_owned());
        let pod = folder.path().join("pod");
        fs::create_dir(&pod).expect("made");
        assert_eq!(cpu(&hierarchy, "/pod"), None);
        fs::write(pod.join("cpu.stat"), "usage_usec 12\nuser_usec 1\n").expect("written");
        assert_eq!(cpu(&hierarchy, "/pod"), Some(12_000));
        for (name, text) in [
            ("memory.stat", v2),
            ("memory.current", "300\n"),
            ("memory.max", "max\n"),
        ] {
            fs::write(pod.join(name), text).expect("written");
        }
        let memory = super::memory(&hierarchy, "/pod").expect("read");
        assert_eq!(memory.working_set_bytes, Some(100));
        assert_eq!(memory.available_bytes, None);
    }

    #[test]
    fn what_proc_says_is_read() {
        let meminfo = "MemTotal:  1000 kB\nMemFree:  400 kB\nInactive(file):  100 kB\n";
        let memory = machine_memory(meminfo).expect("read");
        assert_eq!(memory.usage_bytes, Some(600 * 1024));
        assert_eq!(memory.working_set_bytes, Some(500 * 1024));
        assert_eq!(memory.available_bytes, Some(500 * 1024));
        assert_eq!(machine_memory("garbage"), None);
        let dev = "Inter-| Receive |\n face |bytes\n lo: 1 2 3 4 5 6 7 8 9 10 11 12\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12\n x: 1\n";
        let route = "Iface Destination Gateway\neth1 0001A8C0 0\neth0 00000000 0101A8C0\n";
        assert_eq!(way_out(route), Some("eth0"));
        let network = network(dev, way_out(route));
        assert_eq!(network.interfaces.len(), 1);
        assert_eq!(
            (network.main.rx_bytes, network.main.tx_errors),
            (Some(1), Some(11))
        );
        assert_eq!(way_out(""), None);
    }
}
