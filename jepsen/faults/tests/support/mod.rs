//! What the tests share: skipping loudly, the server under test, and waiting.

#![allow(dead_code, reason = "every test file uses another part of it")]

use mainstay_faults::process::{Process, Spec, http_ok};
use mainstay_faults::{Fabric, Need, Run, capability};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// From start to a healthy answer.
pub(crate) const READY: Duration = Duration::from_secs(20);
/// For an effect to show.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// Set to anything, it makes a skipped test a failed one.
pub(crate) const REQUIRED: &str = "MAINSTAY_FAULTS_REQUIRED";

/// Whether the machine can do all this. Says loudly what it cannot, and fails if [`REQUIRED`] is set.
pub(crate) fn able(needs: &[Need]) -> bool {
    let Err(error) = capability::check(needs) else {
        return true;
    };
    skip(&error.to_string());
    false
}

/// Says why a test does not run.
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os(REQUIRED).is_none(),
        "{REQUIRED} is set, but {why}"
    );
    // Past the capture of passing tests' output: a skip must be seen.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {why} (set {REQUIRED}=1 to make this a failure)"
    );
}

/// The server binary: `MAINSTAY_TEST_SERVER`, or `kvstore` of the target directory, or Debian's etcd.
pub(crate) fn server() -> Option<PathBuf> {
    let beside = std::env::current_exe()
        .ok()?
        .parent()?
        .parent()?
        .join("kvstore");
    let named = std::env::var_os("MAINSTAY_TEST_SERVER").map(PathBuf::from);
    let found = named
        .into_iter()
        .chain([beside, "/usr/bin/etcd".into()])
        .find(|p| p.is_file());
    if found.is_none() {
        skip("there is no server to start: build kvstore, or run scripts/setup for etcd");
    }
    found
}

/// How member `index` of a fabric is started, with its data in `data` and its log beside it.
pub(crate) fn member(server: &Path, fabric: &Fabric, index: usize, data: &Path) -> Spec {
    let place = fabric.place(index);
    let cluster: Vec<String> = (0..fabric.members())
        .map(|m| format!("m{m}=http://{}", fabric.place(m).peer))
        .collect();
    let mut spec = Spec::new(server, data.with_extension("log")).args([
        format!("--name=m{index}"),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls=http://{}", place.client),
        format!("--advertise-client-urls=http://{}", place.client),
        format!("--listen-peer-urls=http://{}", place.peer_listen),
        format!("--initial-advertise-peer-urls=http://{}", place.peer),
        format!("--initial-cluster={}", cluster.join(",")),
    ]);
    spec.namespace = place.namespace.clone();
    spec
}

/// Starts all members of a fabric and waits until all are healthy.
pub(crate) fn cluster(server: &Path, fabric: &Fabric, run: &Run) -> Vec<Process> {
    let mut members: Vec<Process> = (0..fabric.members())
        .map(|m| {
            let spec = member(server, fabric, m, &run.dir().join(format!("m{m}")));
            let process = Process::spawn(spec).unwrap();
            fabric.register(m, process.id());
            process
        })
        .collect();
    for (m, process) in members.iter_mut().enumerate() {
        let client = fabric.place(m).client;
        process
            .wait_ready(READY, || http_ok(client, "/health"))
            .unwrap();
    }
    members
}

/// Waits for a condition.
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}
