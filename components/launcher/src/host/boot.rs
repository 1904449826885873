//! The first process of a host: makes its root out of a folder, and becomes its supervisor.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::Process;
use super::cgroups::INNER;
use crate::cluster::{Cluster, Host};
use crate::command::run;
use crate::files;
use crate::supervise::{Places, supervise};

/// Folders of every host.
const FOLDERS: [&str; 16] = [
    "usr",
    "etc/mainstay",
    "etc/cni/net.d",
    "var/lib",
    "var/log/mainstay",
    "opt/mainstay/bin",
    "opt/mainstay/images",
    "proc",
    "sys",
    "dev",
    "run",
    "root",
    "home",
    "mnt",
    "srv",
    "tmp",
];
/// Links into `/usr`, or folders where the machine has them.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// Files of the machine that programs look for.
const COPIED: [&str; 9] = [
    "etc/passwd",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/protocols",
    "etc/services",
    "etc/ld.so.cache",
    "etc/localtime",
    "etc/os-release",
    "etc/resolv.conf",
];
/// Folders of the machine that programs look into.
const SHOWN: [&str; 3] = ["etc/ssl", "etc/alternatives", "etc/ca-certificates"];

/// `mainstay host-boot NAME`: never returns while the host is on.
pub(crate) fn boot(cluster: &Cluster, host: &Host) -> Result<()> {
    let folders = cluster.folders();
    // The machine's /proc is still to be seen, and with it the id that others know this process by.
    let own = Process::of("self").context("/proc does not show this process")?;
    let (disk, home) = (folders.disk(&host.name), folders.host(&host.name));
    lay_out(&disk)?;
    mount_root(&folders, &disk)?;
    identify(cluster, host, &disk)?;
    cgroups(&disk)?;
    own.record(&home.join("first-process.json"))?;
    change_root(&disk)?;
    fs::write("/proc/sys/kernel/hostname", &host.name).context("the host's name")?;
    for (setting, value) in [
        ("net/ipv4/ip_forward", "1"),
        // The answer to a packet for a service may come on another link than the packet went.
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
    ] {
        let path = Path::new("/proc/sys").join(setting);
        fs::write(&path, value).with_context(|| path.display().to_string())?;
    }
    supervise(&Places::of_host())
}

fn lay_out(disk: &Path) -> Result<()> {
    for folder in FOLDERS {
        files::folder(&disk.join(folder))?;
    }
    let everybody = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(disk.join("tmp"), everybody).context("tmp")?;
    for name in MERGED {
        let (on_machine, here) = (Path::new("/").join(name), disk.join(name));
        match fs::read_link(&on_machine) {
            Ok(_) if here.is_symlink() => {}
            Ok(target) => symlink(&target, &here).with_context(|| here.display().to_string())?,
            Err(_) if on_machine.is_dir() => files::folder(&here)?,
            Err(_) => {}
        }
    }
    let var_run = disk.join("var/run");
    if !var_run.is_symlink() {
        symlink("/run", &var_run).context("var/run")?;
    }
    for file in COPIED {
        // Some machines lack some of them; what is a link there is a file here.
        if let Ok(bytes) = fs::read(Path::new("/").join(file)) {
            files::update(&disk.join(file), &bytes, 0o644)?;
        }
    }
    for folder in SHOWN {
        if Path::new("/").join(folder).is_dir() {
            files::folder(&disk.join(folder))?;
        }
    }
    Ok(())
}

fn mount_root(folders: &crate::cluster::Folders, disk: &Path) -> Result<()> {
    let at = |name: &str| disk.join(name).display().to_string();
    let root = disk.display().to_string();
    run("mount", &["--bind", &root, &root])?;
    let mut shown = vec!["usr"];
    shown.extend(MERGED.iter().filter(|name| {
        let here = disk.join(name);
        here.is_dir() && !here.is_symlink()
    }));
    shown.extend(SHOWN.iter().filter(|name| disk.join(name).is_dir()));
    for name in shown {
        let from = format!("/{name}");
        run("mount", &["--rbind", &from, &at(name)])?;
        run("mount", &["-o", "remount,bind,ro", &at(name)])?;
    }
    run("mount", &["--rbind", "/dev", &at("dev")])?;
    run("mount", &["-t", "proc", "proc", &at("proc")])?;
    run("mount", &["-t", "sysfs", "sysfs", &at("sys")])?;
    run(
        "mount",
        &["-t", "tmpfs", "-o", "mode=755", "tmpfs", &at("run")],
    )?;
    let this = std::env::current_exe().context("this program's path")?;
    let programs = this.parent().unwrap_or(Path::new("/"));
    for (from, to) in [
        (programs, "opt/mainstay/bin"),
        (&folders.images(), "opt/mainstay/images"),
    ] {
        if from.is_dir() {
            run("mount", &["--bind", &from.display().to_string(), &at(to)])?;
            run("mount", &["-o", "remount,bind,ro", &at(to)])?;
        }
    }
    Ok(())
}

/// Who it is, and who the others are.
fn identify(cluster: &Cluster, host: &Host, disk: &Path) -> Result<()> {
    let mut names = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n".to_owned();
    for host in &cluster.hosts {
        names.push_str(&format!("{} {}\n", host.address, host.name));
    }
    let digest = Sha256::digest(format!("{} {}", cluster.id, host.name));
    let machine: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for (file, text) in [
        ("etc/hosts", names),
        ("etc/hostname", format!("{}\n", host.name)),
        ("etc/machine-id", format!("{machine}\n")),
    ] {
        files::update(&disk.join(file), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

/// The same hierarchies as the machine's, of which the host sees only its own part.
fn cgroups(disk: &Path) -> Result<()> {
    let root = disk.join("sys/fs/cgroup").display().to_string();
    let mounts = files::read(Path::new("/proc/self/mountinfo"))?;
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        run("mount", &["-t", "cgroup2", "cgroup2", &root])?;
        // A group with others below it may have no processes of its own.
        let own = Path::new(&root).join(INNER);
        files::folder(&own)?;
        let file = own.join("cgroup.procs");
        fs::write(&file, "0").with_context(|| file.display().to_string())?;
        return Ok(());
    }
    run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", &root])?;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - cgroup cgroup ") else {
            continue;
        };
        let point = before.split(' ').nth(4).unwrap_or_default();
        let Ok(name) = Path::new(point).strip_prefix("/sys/fs/cgroup") else {
            continue;
        };
        let here = Path::new(&root).join(name);
        files::folder(&here)?;
        let options: Vec<&str> = after
            .split(',')
            .filter(|option| *option != "rw" && *option != "ro")
            .collect();
        let options = options.join(",");
        let here = here.display().to_string();
        run("mount", &["-t", "cgroup", "-o", &options, "cgroup", &here])?;
    }
    // Controllers that share a hierarchy have a link each.
    for entry in fs::read_dir("/sys/fs/cgroup")
        .context("/sys/fs/cgroup")?
        .flatten()
    {
        if let Ok(target) = fs::read_link(entry.path()) {
            let here = Path::new(&root).join(entry.file_name());
            symlink(&target, &here).with_context(|| here.display().to_string())?;
        }
    }
    Ok(())
}

fn change_root(disk: &Path) -> Result<()> {
    let root = disk.display().to_string();
    let old = disk.join(".old");
    files::folder(&old)?;
    std::env::set_current_dir(disk).with_context(|| root.clone())?;
    run("pivot_root", &[".", ".old"])?;
    std::env::set_current_dir("/").context("/")?;
    // What is mounted for a pod must be seen by the runtime too.
    run("mount", &["--make-rprivate", "/.old"])?;
    run("umount", &["-l", "/.old"])?;
    run("mount", &["--make-rshared", "/"])?;
    fs::remove_dir("/.old").context("/.old")
}
