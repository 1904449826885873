//! What `down` leaves of a cluster of hosts: nothing but its data. In a network of its own, so that nothing else
//! changes it meanwhile. Needs root.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{Cluster, missing};

/// A network, as long as it lives.
struct Network(Child);

impl Network {
    fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c"]);
        command.arg(
            "ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_forward; echo ready; exec sleep 600",
        );
        command.stdout(Stdio::piped());
        let mut child = command.spawn().expect("unshare is there");
        let mut ready = [0; 6];
        let output = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(output, &mut ready).expect("it is made");
        Self(child)
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id()));
        command
    }

    fn says(&self, command: &[&str]) -> String {
        let output = self.inside().args(command).output().expect("nsenter");
        let (out, err) = (output.stdout, output.stderr);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, err) = (text(out), text(err));
        assert!(output.status.success(), "{command:?}: {out}\n{err}");
        out
    }

    fn mainstay(&self, cluster: &Cluster, arguments: &[&str]) -> String {
        let folder = cluster.path().display().to_string();
        let mut command = vec![env!("CARGO_BIN_EXE_mainstay"), "--dir", &folder];
        command.extend(arguments);
        self.says(&command)
    }

    /// What a cluster changes of it.
    fn state(&self) -> [String; 4] {
        [
            self.says(&["ip", "-o", "link"]),
            self.says(&["ip", "-4", "route", "show", "table", "all"]),
            self.says(&["nft", "list", "ruleset"]),
            self.says(&["cat", "/proc/sys/net/ipv4/ip_forward"]),
        ]
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Links of `/proc` of all processes that have a given name there, such as `ns/net`.
fn links(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path().join(name)).ok())
        .collect()
}

fn networks_of_hosts(cluster: &Cluster) -> Vec<PathBuf> {
    let hosts = fs::read_dir(cluster.path().join("hosts")).expect("hosts");
    let networks = hosts.map(|host| {
        let path = host.expect("a host").path().join("first-process.json");
        let text = fs::read(path).expect("it is on");
        let record: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        fs::read_link(format!("/proc/{}/ns/net", record["pid"])).expect("it is on")
    });
    networks.collect()
}

#[test]
fn down_leaves_no_process_link_rule_mount_or_setting() {
    if let Some(missing) = missing() {
        eprintln!("skipped: hosts that are namespaces need what is missing here: {missing}");
        return;
    }
    let (network, first, second) = (Network::new(), Cluster::new(), Cluster::new());
    let before = network.state();
    let up = ["up", "--hosts", "--masters=1", "--workers=1"];
    network.mainstay(&first, &up);
    network.mainstay(&second, &up);
    let hosts = [networks_of_hosts(&first), networks_of_hosts(&second)].concat();
    assert_eq!(hosts.len(), 4);
    let with_both = network.state();
    assert_eq!(with_both[3], "1\n");

    // The other one still needs what both have in common.
    network.mainstay(&first, &["down"]);
    let status = network.mainstay(&second, &["status"]);
    assert!(status.contains("Nodes ready: 1 of 1"), "{status}");
    assert_eq!(network.state()[3], "1\n");
    network.mainstay(&second, &["down"]);

    assert_eq!(network.state(), before);
    let networks = links("ns/net");
    let left: Vec<&PathBuf> = hosts.iter().filter(|one| networks.contains(one)).collect();
    assert_eq!(left, Vec::<&PathBuf>::new(), "processes in hosts");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    for cluster in [&first, &second] {
        let folder = cluster.path().display().to_string();
        assert!(!mounts.contains(&folder), "{mounts}");
        for name in ["exe", "cwd", "root"] {
            let left = links(name);
            assert!(!left.iter().any(|path| path.starts_with(&folder)), "{name}");
        }
        assert!(cluster.path().join("hosts").exists(), "its data stay");
        network.mainstay(cluster, &["down", "--delete"]);
        assert!(!cluster.path().exists(), "its folder is gone");
    }
}
