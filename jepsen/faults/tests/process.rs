//! Real members are killed, paused, restarted and shown wrong clocks, alone and in a cluster.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests share fails and prints like the tests"
)]

mod support;

use mainstay_faults::process::{LogRules, Process, Spec, http_get, http_ok};
use mainstay_faults::proxy::{LinkRule, Shape};
use mainstay_faults::{Clock, Error, Fabric, Need, Run, party};
use std::time::Duration;
use support::{READY, SOON, able, cluster, member, server, wait};

#[test]
fn killed_and_restarted_processes_show_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let script = "echo started; trap 'echo ended; exit 7' TERM; while :; do sleep 0.01; done";
    let mut process = Process::spawn(Spec::new("/bin/sh", &log).args(["-c", script])).unwrap();
    let lines = |n| std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == n);
    wait("it logs", || lines(1));
    let proof = process.kill().unwrap();
    println!("{proof}");
    assert!(proof.acted && !process.is_running());
    assert!(!process.kill().unwrap().acted, "killed twice");
    assert!(matches!(process.pause(), Err(Error::Misuse(_))));
    process.restart().unwrap();
    wait("it logs again", || lines(2));
    let (status, took) = process.terminate(SOON).unwrap();
    assert_eq!(status.code(), Some(7), "after {took:?}");
    assert!(lines(3));
    assert_eq!(process.starts(), 2);
}

#[test]
fn a_process_that_ends_is_never_ready() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new("/bin/false", dir.path().join("log"));
    let error = Process::spawn(spec)
        .unwrap()
        .wait_ready(SOON, || false)
        .unwrap_err();
    assert!(
        error.to_string().contains("ended before it was ready"),
        "{error}"
    );
}

#[test]
fn a_paused_process_uses_no_time_until_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new("/bin/sh", dir.path().join("log")).args(["-c", "while :; do :; done"]);
    let mut process = Process::spawn(spec).unwrap();
    let used = |process: &Process| process.cpu_ticks().unwrap();
    wait("it uses time", || used(&process) > 5);
    println!("{}", process.pause().unwrap());
    let ticks = used(&process);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(used(&process), ticks);
    println!("{}", process.resume().unwrap());
    wait("it uses time again", || used(&process) > ticks + 5);
}

#[test]
fn a_single_member_is_paused_and_its_clock_jumps() {
    let (Some(server), true) = (server(), able(&[Need::FakeTime])) else {
        return;
    };
    let run = Run::claim().unwrap();
    let fabric = Fabric::loopback(&run, 1).unwrap();
    let client = fabric.place(0).client;
    let mut clock = Clock::create(run.dir().join("clock")).unwrap();
    let mut spec = member(&server, &fabric, 0, &run.dir().join("m0"));
    spec.env = clock.env();
    let mut process = Process::spawn(spec).unwrap();
    process
        .wait_ready(READY, || http_ok(client, "/health"))
        .unwrap();

    process.pause().unwrap();
    assert!(!http_ok(client, "/health"), "a paused server answered");
    process.resume().unwrap();
    wait("it answers again", || http_ok(client, "/health"));

    match clock.jump(Duration::from_secs(3_600), false, client) {
        Ok(proof) => println!("{proof}"),
        // Known: the runtime of Go programs does not ask the C library for the time.
        Err(Error::NotActing(why)) if server.ends_with("etcd") => return println!("etcd: {why}"),
        Err(error) => panic!("{error}"),
    }
    assert!(http_ok(client, "/health"));
    println!(
        "{}",
        clock.jump(Duration::from_secs(600), true, client).unwrap()
    );
    // Timers go on: the page is computed, and the member still leads itself.
    wait("it is healthy after a jump back", || {
        http_ok(client, "/health")
    });
    println!("{}", clock.jump(Duration::ZERO, false, client).unwrap());
    let (status, _) = process.terminate(SOON).unwrap();
    let text = std::fs::read_to_string(process.log()).unwrap();
    assert!(status.success(), "{status}\n{text}");
    let findings = LogRules::default().scan(process.log(), 0).unwrap();
    assert!(findings.lines > 0);
    assert!(findings.list.is_empty(), "{findings:?}");
}

/// Whether a member believes in a leader.
fn has_leader(fabric: &Fabric, member: usize) -> bool {
    http_get(fabric.place(member).client, "/metrics")
        .is_ok_and(|page| page.contains("\netcd_server_has_leader 1\n"))
}

/// A cluster of three behind this fabric: isolated, a member loses its leader; healed, it finds it again.
fn isolates(run: &Run, fabric: &Fabric) {
    let Some(server) = server() else { return };
    let mut members = cluster(&server, fabric, run);
    for m in 0..3 {
        wait("all have a leader", || has_leader(fabric, m));
    }
    let before = fabric.reading().unwrap();
    fabric.partition(&party::isolate(3, 1)).unwrap();
    let took = wait("the isolated member lost its leader", || {
        !has_leader(fabric, 1)
    });
    wait("the others have one", || {
        has_leader(fabric, 0) && has_leader(fabric, 2)
    });
    let proof = fabric.proof_since(&before).unwrap();
    println!("isolated after {took:?}; {proof}");
    assert!(proof.acted);
    fabric.heal().unwrap();
    let took = wait("it found a leader again", || has_leader(fabric, 1));
    println!("healed after {took:?}");
    slows(fabric);
    for process in &mut members {
        process.terminate(SOON).unwrap();
    }
}

/// What members send each other is slowed, and all callers are known.
fn slows(fabric: &Fabric) {
    let before = fabric.reading().unwrap();
    let slow = Shape::delayed(Duration::from_millis(20), Duration::from_millis(5));
    fabric.shape_all(LinkRule::both(slow)).unwrap();
    wait("something was held", || {
        fabric.proof_since(&before).unwrap().acted
    });
    println!("{}", fabric.proof_since(&before).unwrap());
    for m in 0..3 {
        let counters = fabric.proxy(m).unwrap().counters();
        assert_eq!(counters[&None].accepted, 0, "unknown callers of m{m}");
    }
    fabric.heal().unwrap();
}

#[test]
fn members_in_namespaces_are_isolated_by_filters() {
    if able(&[Need::Namespaces, Need::PacketFilter]) {
        let run = Run::claim().unwrap();
        isolates(&run, &Fabric::namespaces(&run, 3, true).unwrap());
    }
}

#[test]
fn members_on_loopback_are_isolated_by_their_proxies() {
    let run = Run::claim().unwrap();
    isolates(&run, &Fabric::loopback(&run, 3).unwrap());
}
