//! Data that differs from the other members' although every checksum is right.

use super::repairs_itself;
use mainstay_proto::etcdserverpb::RangeRequest;
use mainstay_tests::corruption::{Vitals, options};
use mainstay_tests::load::{fill, key};
use mainstay_tests::wait::wait_until;
use mainstay_tests::{Cluster, Server};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
const KEYS: usize = 2_000;

/// The tool that writes into a database; built with the tests of its crate.
fn tamper() -> Option<PathBuf> {
    let tool = Server::under_test()
        .path()
        .parent()?
        .join("examples/tamper");
    if !tool.exists() {
        println!(
            "skipped: {} is not built (cargo build --release -p mainstay-engine-rocks --examples)",
            tool.display()
        );
    }
    tool.exists().then_some(tool)
}

#[tokio::test]
async fn a_member_that_differs_from_the_majority_is_repaired() {
    let (true, Some(tool)) = (repairs_itself(), tamper()) else {
        return;
    };
    let options = options().flag("--corrupt-check-time=1s");
    let mut cluster = Cluster::start_with(3, options).await;
    fill(&cluster.raw(0), KEYS, 100).await;
    let victim = cluster.follower().await;
    // In good order, so that its database holds everything.
    cluster.terminate(victim).await;
    let state = cluster.data_dir(victim).join("member/state");
    let pointer = std::fs::read_to_string(state.join("CURRENT")).unwrap();
    let database = state.join(pointer.split(' ').next().unwrap());
    let name = String::from_utf8(key(7).to_vec()).unwrap();
    let output = Command::new(tool)
        .arg(&database)
        .arg(&name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    cluster.spawn(victim);
    let vitals = wait_until("it is found and repaired", DEADLINE, async || {
        let vitals = Vitals::of(&cluster, victim).await.filter(Vitals::is_well)?;
        (vitals.findings.repairs > 0).then_some(vitals)
    })
    .await;
    assert!(vitals.findings.found.contains_key("replica"), "{vitals:?}");
    let request = RangeRequest {
        key: key(7),
        serializable: true,
        ..Default::default()
    };
    let response = cluster.raw(victim).range(request).await.unwrap();
    assert!(response.kvs[0].value.iter().all(|byte| *byte == b'v'));
}
