//! What a machine lacks for running a cluster.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, bail};

use crate::cluster::Means;
use crate::command;
use crate::host::bases;
use crate::limits::{DISK_FREE_MIN, MEMORY_FREE_MIN, OPEN_FILES_MIN};
use crate::screen::{say, table};

/// How bad it is that something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// No cluster without it.
    Cluster,
    /// No containers without it: workers are fake nodes then.
    Containers,
    /// Useful.
    Wish,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) need: Need,
    /// What was found, or what to do.
    pub(crate) found: Result<String, String>,
}

const NEEDED_PROGRAMS: [(&str, &str, Need); 14] = [
    ("ip", "iproute2", Need::Cluster),
    ("mount", "mount", Need::Cluster),
    ("pivot_root", "util-linux", Need::Cluster),
    ("unshare", "util-linux", Need::Cluster),
    ("nsenter", "util-linux", Need::Cluster),
    ("nft", "nftables", Need::Containers),
    ("iptables", "iptables", Need::Containers),
    ("containerd", "containerd", Need::Containers),
    ("ctr", "containerd", Need::Containers),
    ("runc", "runc", Need::Containers),
    ("conntrack", "conntrack", Need::Containers),
    ("socat", "socat", Need::Wish),
    ("busybox", "busybox-static", Need::Containers),
    ("kubectl", "kubernetes-client", Need::Wish),
];

/// Our own programs, which lie beside this one.
const OWN_PROGRAMS: [(&str, Need); 8] = [
    ("kvstore", Need::Cluster),
    ("apiserver", Need::Cluster),
    ("controllers", Need::Cluster),
    ("scheduler", Need::Cluster),
    ("kubelet", Need::Containers),
    ("proxy", Need::Containers),
    ("dns", Need::Containers),
    ("fake-nodes", Need::Wish),
];

/// Where CNI's plugins may lie.
const PLUGIN_FOLDERS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// What was found when everything was looked at, once.
pub(crate) fn checks() -> &'static [Check] {
    static CHECKS: OnceLock<Vec<Check>> = OnceLock::new();
    CHECKS.get_or_init(look)
}

fn look() -> Vec<Check> {
    let mut checks = vec![root()];
    for (program, package, need) in NEEDED_PROGRAMS {
        checks.push(Check {
            what: program.to_owned(),
            need,
            found: command::find(program)
                .map(|path| path.display().to_string())
                .ok_or_else(|| format!("install it: apt-get install {package}")),
        });
    }
    for (program, need) in OWN_PROGRAMS {
        checks.push(Check {
            what: program.to_owned(),
            need,
            found: own(program).map(|path| path.display().to_string()),
        });
    }
    checks.push(Check {
        what: "CNI plugins".to_owned(),
        need: Need::Containers,
        found: plugins()
            .map(|path| path.display().to_string())
            .ok_or_else(|| "install them: apt-get install containernetworking-plugins".to_owned()),
    });
    checks.extend([namespaces(), links(), cgroups(), overlay(), rules()]);
    checks.extend([open_files(), memory()]);
    checks.push(disk(Path::new("/")));
    checks
}

/// The folder with CNI's plugins.
pub(crate) fn plugins() -> Option<PathBuf> {
    let mut folders = PLUGIN_FOLDERS.iter().map(PathBuf::from);
    folders.find(|folder| folder.join("bridge").is_file() && folder.join("host-local").is_file())
}

/// A program of ours: beside this one.
///
/// # Errors
/// Says how to get it.
pub(crate) fn own(program: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let path = this.with_file_name(program);
    match path.is_file() {
        true => Ok(path),
        false => Err(format!(
            "there is no {}: build it with cargo build --release --bin {program}",
            path.display()
        )),
    }
}

fn root() -> Check {
    Check {
        what: "root".to_owned(),
        need: Need::Cluster,
        found: match rustix::process::geteuid().is_root() {
            true => Ok("yes".to_owned()),
            false => Err("hosts are namespaces, which need root: use sudo".to_owned()),
        },
    }
}

/// Tried, as whoever is root in a container may not make any.
fn namespaces() -> Check {
    let kinds = ["net", "mount", "pid", "uts", "ipc", "cgroup"];
    let flags: Vec<String> = kinds.iter().map(|kind| format!("--{kind}")).collect();
    let mut arguments: Vec<&str> = flags.iter().map(String::as_str).collect();
    arguments.extend(["--fork", "true"]);
    Check {
        what: "namespaces".to_owned(),
        need: Need::Cluster,
        found: tried("unshare", &arguments).map(|()| kinds.join(", ")),
    }
}

/// Tried in a network of their own, which ends with the command.
fn links() -> Check {
    let links =
        "ip link add name one type bridge && ip link add name two type veth peer name three";
    Check {
        what: "links".to_owned(),
        need: Need::Cluster,
        found: tried("unshare", &["--net", "sh", "-c", links]).map(|()| "bridge, veth".to_owned()),
    }
}

/// The same for what services and the pods' network are made of.
fn rules() -> Check {
    let rules = "nft add table ip t && \
                 nft 'add chain ip t c { type nat hook postrouting priority 100; }' && \
                 nft add rule ip t c masquerade";
    Check {
        what: "nftables".to_owned(),
        need: Need::Containers,
        found: tried("unshare", &["--net", "sh", "-c", rules]).map(|()| "nat".to_owned()),
    }
}

fn tried(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = command::run(program, arguments);
    done.map(|_| ())
        .map_err(|error| format!("not permitted here: {error}"))
}

fn cgroups() -> Check {
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let v1 = Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists();
    let found = match v2 {
        Ok(controllers) if controllers.contains("memory") => Ok("version 2".to_owned()),
        Ok(controllers) => Err(format!(
            "version 2 without memory: only {}",
            controllers.trim()
        )),
        Err(_) if v1 => Ok("version 1".to_owned()),
        Err(_) => Err("mount them at /sys/fs/cgroup".to_owned()),
    };
    Check {
        what: "cgroups".to_owned(),
        need: Need::Containers,
        found: found.and_then(|version| {
            let locked = bases().into_iter().find(|base| !is_writable(base));
            locked.map_or(Ok(version), |base| {
                Err(format!("{} cannot be changed", base.display()))
            })
        }),
    }
}

/// Also false where everything is mounted to be read only.
fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK).is_ok()
}

/// Mounted once, in a namespace of its own: that the kernel knows it may not be enough, and that it has not loaded it
/// yet does not matter.
fn overlay() -> Check {
    let found = || {
        let folder = std::env::temp_dir().join(format!("mainstay-doctor-{}", std::process::id()));
        let mount = "mkdir $0/lower $0/upper $0/work $0/all && \
                     mount -t overlay -o lowerdir=$0/lower,upperdir=$0/upper,workdir=$0/work overlay $0/all";
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        // What is written must be on a disk that can be below an overlay, as a tmpfs can.
        let script = format!("mount -t tmpfs tmpfs $0 && {mount}");
        let path = folder.display().to_string();
        let done = tried("unshare", &["--mount", "sh", "-c", &script, &path]);
        let _ = std::fs::remove_dir(&folder);
        done.map(|()| "yes".to_owned())
    };
    Check {
        what: "overlayfs".to_owned(),
        need: Need::Containers,
        found: found(),
    }
}

fn open_files() -> Check {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    Check {
        what: "open files".to_owned(),
        need: Need::Wish,
        found: match hard >= OPEN_FILES_MIN {
            true => Ok(format!("up to {hard} in a process")),
            false => Err(format!(
                "{hard} in a process are few: raise it to {OPEN_FILES_MIN} (ulimit -Hn)"
            )),
        },
    }
}

fn memory() -> Check {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Check {
        what: "memory".to_owned(),
        need: Need::Wish,
        found: enough(
            kib.map(|kib| kib.saturating_mul(1_024)),
            MEMORY_FREE_MIN,
            "available",
        ),
    }
}

fn disk(folder: &Path) -> Check {
    let free = rustix::fs::statvfs(folder)
        .ok()
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    Check {
        what: "disk".to_owned(),
        need: Need::Wish,
        found: enough(
            free,
            DISK_FREE_MIN,
            &format!("free at {}", folder.display()),
        ),
    }
}

fn enough(bytes: Option<u64>, least: u64, which: &str) -> Result<String, String> {
    let mib = |bytes: u64| bytes >> 20;
    match bytes {
        Some(bytes) if bytes >= least => Ok(format!("{} MiB {which}", mib(bytes))),
        Some(bytes) => Err(format!(
            "only {} MiB {which}: {} are wanted",
            mib(bytes),
            mib(least)
        )),
        None => Err("it cannot be told".to_owned()),
    }
}

/// Whether a thing is one without which no container runs. The programs beside the kubelet are not.
fn stops_containers(check: &Check) -> bool {
    let optional = ["proxy", "dns", "conntrack"].contains(&check.what.as_str());
    check.need == Need::Containers && check.found.is_err() && !optional
}

/// What workers can be here.
pub(crate) fn means() -> Means {
    Means {
        containers: !checks().iter().any(stops_containers),
        proxy: own("proxy").is_ok(),
        dns: own("dns").is_ok(),
    }
}

/// What is missing without which there are no hosts, each with what to do.
pub(crate) fn missing_for_hosts() -> Vec<String> {
    missing(|check| check.need == Need::Cluster && check.found.is_err())
}

/// What is missing without which hosts run no containers.
pub(crate) fn missing_for_containers() -> Vec<String> {
    missing(stops_containers)
}

/// Programs that are missing without which there is no control plane of any kind.
pub(crate) fn missing_for_embedded() -> Vec<String> {
    let own = [
        "kvstore",
        "apiserver",
        "controllers",
        "scheduler",
        "fake-nodes",
    ];
    missing(|check| own.contains(&check.what.as_str()) && check.found.is_err())
}

fn missing(which: impl Fn(&Check) -> bool) -> Vec<String> {
    let checks = checks().iter().filter(|check| which(check));
    checks
        .filter_map(|check| {
            let why = check.found.as_ref().err()?;
            Some(format!("{}: {why}", check.what))
        })
        .collect()
}

/// `mainstay doctor`: shows what was found, and fails if no cluster could run.
pub(crate) fn examine() -> Result<()> {
    let checks = checks();
    let mut rows = vec![
        ["", "WHAT", "FOUND, OR WHAT TO DO"]
            .map(String::from)
            .to_vec(),
    ];
    for check in checks {
        let mark = match (&check.found, check.need) {
            (Ok(_), _) => "ok",
            (Err(_), Need::Cluster) => "MISSING",
            (Err(_), Need::Containers) => "missing",
            (Err(_), Need::Wish) => "note",
        };
        let (Ok(text) | Err(text)) = &check.found;
        rows.push(vec![mark.to_owned(), check.what.clone(), text.clone()]);
    }
    say(table(&rows).trim_end());
    let lacking = |need: Need| {
        let checks = checks.iter();
        checks
            .filter(|check| check.need == need && check.found.is_err())
            .count()
    };
    match (lacking(Need::Cluster), lacking(Need::Containers)) {
        (0, 0) => say("\nThis machine can run a cluster of hosts with containers."),
        _ if missing_for_embedded().is_empty() => {
            say("\nThis machine can run a control plane with fake nodes, but no containers.");
        }
        (missing, _) => bail!("{missing} things are missing without which no cluster runs"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failed_check_says_what_to_do() {
        for check in checks() {
            let (Ok(text) | Err(text)) = &check.found;
            assert!(!check.what.is_empty() && !text.is_empty());
        }
    }

    #[test]
    fn space_is_compared_in_mebibytes() {
        assert_eq!(
            enough(Some(5 << 20), 1, "free"),
            Ok("5 MiB free".to_owned())
        );
        let few = enough(Some(1 << 20), 4 << 20, "free").expect_err("few");
        assert_eq!(few, "only 1 MiB free: 4 are wanted");
        assert!(enough(None, 1, "free").is_err());
    }
}
