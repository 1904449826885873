//! Which processes run on which host, and what they use.

use std::collections::BTreeMap;
use std::fs;

use super::cluster::Host;
use crate::usage::Gauge;

/// Those of one host that do the same.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) is_master: bool,
    pub(crate) name: String,
    pub(crate) gauge: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    parent: u32,
    name: String,
}

/// All processes of the hosts, in groups, by host and name.
pub(crate) fn groups(hosts: &[Host]) -> Vec<Group> {
    let all = processes();
    let mut groups: BTreeMap<(usize, String), Vec<u32>> = BTreeMap::new();
    for &id in all.keys() {
        let firsts = hosts.iter().map(|host| host.first);
        let Some((host, line)) = line(&all, id, &firsts.collect::<Vec<_>>()) else {
            continue;
        };
        groups.entry((host, role(&line))).or_default().push(id);
    }
    let each = groups.into_iter().map(|((host, name), ids)| Group {
        is_master: hosts[host].is_master,
        name,
        gauge: Gauge::new(ids),
    });
    each.collect()
}

fn processes() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let each = ids.filter_map(|id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (parent, comm) = parse(&stat)?;
        let name = match comm.as_str() {
            // One program does several things, and its first word says which.
            "mainstay" => word(id).unwrap_or(comm),
            _ => comm,
        };
        Some((id, Process { parent, name }))
    });
    each.collect()
}

/// Parent and name of a process by its line in /proc; the name may contain anything but ends with the last bracket.
fn parse(stat: &str) -> Option<(u32, String)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let parent = tail.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((parent, name))
}

/// The first word of a command line that is neither the program nor a flag or its value.
fn word(id: u32) -> Option<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let known = ["balance", "network", "host-boot", "supervise"];
    let mut words = line.split('\0');
    words.find(|word| known.contains(word)).map(str::to_owned)
}

/// To which host (by its place among the first processes) a process belongs, and the names from below the first one
/// down to its own.
fn line(all: &BTreeMap<u32, Process>, id: u32, firsts: &[u32]) -> Option<(usize, Vec<String>)> {
    let mut names = Vec::new();
    let mut at = id;
    // No line is longer than there are processes.
    for _ in 0..all.len() {
        if let Some(host) = firsts.iter().position(|first| *first == at) {
            names.reverse();
            return Some((host, names));
        }
        let process = all.get(&at)?;
        names.push(process.name.clone());
        at = process.parent;
    }
    None
}

fn role(line: &[String]) -> String {
    let is_shim = |name: &str| name.starts_with("containerd-shim");
    match line {
        [] => "supervisor".to_owned(),
        [.., last] if is_shim(last) => "shims of pods".to_owned(),
        [above @ .., _] if above.iter().any(|name| is_shim(name)) => "pods".to_owned(),
        [first, ..] => match first.as_str() {
            "balance" => "balancer".to_owned(),
            other => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(parent: u32, name: &str) -> Process {
        Process {
            parent,
            name: name.to_owned(),
        }
    }

    #[test]
    fn processes_are_found_by_where_they_come_from() {
        let all: BTreeMap<u32, Process> = [
            (1, process(0, "init")),
            (10, process(1, "host-boot")),
            (11, process(10, "kubelet")),
            (12, process(10, "containerd-shim")),
            (13, process(12, "pause")),
            (14, process(10, "balance")),
            (20, process(1, "sshd")),
        ]
        .into_iter()
        .collect();
        let role = |id| line(&all, id, &[10]).map(|(_, line)| role(&line));
        let expected = [
            (10, "supervisor"),
            (11, "kubelet"),
            (12, "shims of pods"),
            (13, "pods"),
            (14, "balancer"),
        ];
        for (id, name) in expected {
            assert_eq!(role(id).as_deref(), Some(name));
        }
        assert_eq!(role(20), None);
    }

    #[test]
    fn names_may_contain_anything() {
        let parsed = parse("7 (a) b) S 3 7 7 0").expect("a line");
        assert_eq!(parsed, (3, "a) b".to_owned()));
        assert_eq!(parse("7 no"), None);
    }
}
