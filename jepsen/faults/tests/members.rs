//! Real members on disks that lose power, stand still, fail and fill up: acknowledged writes survive.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::disk::{Disk, Kind, power_cut};
use mainstay_faults::process::{Process, http_ok};
use mainstay_faults::{Fabric, Need, Run};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{READY, SOON, able, member, server, skip};

/// Two log segments of 64 MiB each, and room to spare.
const DISK_BYTES: u64 = 512 << 20;

/// A single member with its data on a disk of its own.
struct Single {
    process: Process,
    disk: Disk,
    client: SocketAddr,
    _fabric: Fabric,
}

impl Single {
    fn start(server: &Path, kind: Kind) -> Self {
        let run = Run::claim().unwrap();
        let fabric = Fabric::loopback(&run, 1).unwrap();
        let disk = Disk::create(&run, "m0", DISK_BYTES, kind).unwrap();
        let mut spec = member(server, &fabric, 0, &disk.data());
        // The log survives what happens to the disk.
        spec.log = run.dir().join("m0.log");
        let process = Process::spawn(spec).unwrap();
        let client = fabric.place(0).client;
        let mut single = Self {
            process,
            disk,
            client,
            _fabric: fabric,
        };
        single.ready();
        single
    }

    fn ready(&mut self) {
        let client = self.client;
        self.process
            .wait_ready(READY, || http_ok(client, "/health"))
            .unwrap();
    }

    /// Whether a write is acknowledged within a second.
    fn put(&self, key: &str) -> bool {
        self.etcdctl(&["put", key, "value"]) == "OK"
    }

    fn has(&self, key: &str) -> bool {
        self.etcdctl(&["get", key, "--print-value-only"]) == "value"
    }

    fn etcdctl(&self, args: &[&str]) -> String {
        etcdctl(self.client, args)
    }
}

fn etcdctl(client: SocketAddr, args: &[&str]) -> String {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", &client.to_string(), "--command-timeout=1s"])
        .args(args)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The server, if it and all of this can be had.
fn prepared(needs: &[Need]) -> Option<std::path::PathBuf> {
    if !able(needs) {
        return None;
    }
    if Command::new("etcdctl").arg("version").output().is_err() {
        skip("etcdctl is missing; scripts/setup installs it");
        return None;
    }
    server()
}

#[test]
fn acknowledged_writes_survive_power_cuts() {
    let Some(server) = prepared(&[Need::LoopDisks]) else {
        return;
    };
    let mut single = Single::start(&server, Kind::Plain);
    for round in 0..5 {
        assert!(single.put(&format!("key{round}")));
        power_cut([(&mut single.process, &mut single.disk)]).unwrap();
        let proof = single.disk.restore().unwrap();
        println!("{proof}");
        assert!(proof.acted);
        single.process.restart().unwrap();
        single.ready();
        assert!((0..=round).all(|n| single.has(&format!("key{n}"))));
    }
}

#[test]
fn acknowledged_writes_survive_a_power_cut_of_all_members() {
    let Some(server) = prepared(&[Need::LoopDisks, Need::Namespaces, Need::PacketFilter]) else {
        return;
    };
    let run = Run::claim().unwrap();
    let fabric = Fabric::namespaces(&run, 3, true).unwrap();
    let create = |m: usize| Disk::create(&run, &format!("m{m}"), DISK_BYTES, Kind::Plain).unwrap();
    let mut disks: Vec<Disk> = (0..3).map(create).collect();
    let mut members: Vec<Process> = (0..3)
        .map(|m| {
            let mut spec = member(&server, &fabric, m, &disks[m].data());
            spec.log = run.dir().join(format!("m{m}.log"));
            Process::spawn(spec).unwrap()
        })
        .collect();
    let client = |m: usize| fabric.place(m).client;
    let put = |m: usize, key: &str| etcdctl(client(m), &["put", key, "value"]) == "OK";
    for round in 0..2 {
        let key = |m: usize| format!("key{round}-{m}");
        for m in 0..3 {
            support::wait("a write is acknowledged", || put(m, &key(m)));
        }
        power_cut(members.iter_mut().zip(&mut disks)).unwrap();
        for (disk, process) in disks.iter_mut().zip(&mut members) {
            let proof = disk.restore().unwrap();
            assert!(proof.acted, "{proof}");
            process.restart().unwrap();
        }
        for m in 0..3 {
            let get = ["get", &key(m), "--print-value-only"];
            let read = || etcdctl(client(m), &get) == "value";
            println!(
                "m{m} serves {} after {:?}",
                key(m),
                support::wait("it is there", read)
            );
        }
    }
}

#[test]
fn a_member_waits_for_a_stalled_disk() {
    let Some(server) = prepared(&[Need::BlockDaemon]) else {
        return;
    };
    let mut single = Single::start(&server, Kind::Daemon);
    assert!(single.put("before"));
    println!("{}", single.disk.stall().unwrap());
    assert!(
        !single.put("during"),
        "acknowledged by a disk that stands still"
    );
    println!("{}", single.disk.resume().unwrap());
    support::wait("it writes again", || single.put("after"));
    assert!(single.has("before"));
}

#[test]
fn a_member_acknowledges_nothing_on_a_broken_disk() {
    let Some(server) = prepared(&[Need::BlockDaemon]) else {
        return;
    };
    let mut single = Single::start(&server, Kind::Daemon);
    assert!(single.put("before"));
    println!("{}", single.disk.fail().unwrap());
    assert!(!single.put("during"), "acknowledged by a broken disk");
    let status = single.process.wait_exit(SOON);
    println!("the member after EIO: {status:?}");
    single.process.kill().unwrap();
    println!("{}", single.disk.revive().unwrap());
    single.process.restart().unwrap();
    single.ready();
    assert!(single.has("before"));
}

#[test]
fn a_member_on_a_full_disk_loses_nothing() {
    let Some(server) = prepared(&[Need::LoopDisks]) else {
        return;
    };
    let mut single = Single::start(&server, Kind::Plain);
    assert!(single.put("before"));
    println!("{}", single.disk.fill(0).unwrap());
    // Whether it goes on in what it has allocated is up to the server.
    println!(
        "a write on a full disk is acknowledged: {}",
        single.put("during")
    );
    println!("{}", single.disk.release().unwrap());
    if single.process.wait_exit(Duration::ZERO).is_ok() {
        single.process.restart().unwrap();
    }
    single.ready();
    assert!(single.has("before"));
    support::wait("it writes again", || single.put("after"));
}
