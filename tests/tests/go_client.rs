//! etcd's official Go client against a cluster of three, members dying included. The tests themselves are in `go/`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this crate is all tests"
)]

use mainstay_tests::{Cluster, control};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

/// Building the client once, and all tests.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn the_go_client_works() {
    let version = Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .await;
    if !version.is_ok_and(|status| status.success()) {
        println!("skipped: the Go tests need Go (no `go` command here)");
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    let out = tempfile::tempdir().unwrap();
    let binary = out.path().join("go-client-tests");
    let built = Command::new("go")
        .args(["test", "-c", "-o"])
        .arg(&binary)
        .current_dir(&dir)
        .kill_on_drop(true)
        .output();
    let built = timeout(DEADLINE, built)
        .await
        .expect("the Go tests are built")
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&built.stdout),
        String::from_utf8_lossy(&built.stderr)
    );
    assert!(
        built.status.success(),
        "the Go tests cannot be built (offline?):\n{text}"
    );

    let mut cluster = Cluster::start(3).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The compiled tests are run directly, so that nothing is left over when this test fails first.
    let mut tests = Command::new(&binary);
    tests
        .args(["-test.v", "-test.timeout=8m"])
        .current_dir(&dir)
        .env("MAINSTAY_ENDPOINTS", cluster.endpoints().join(","))
        .env(
            "MAINSTAY_CONTROL",
            listener.local_addr().unwrap().to_string(),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let run = tests.spawn().unwrap().wait_with_output();
    let output = tokio::select! {
        output = timeout(DEADLINE, run) => output.expect("the Go tests end").unwrap(),
        () = control::serve(listener, &mut cluster) => unreachable!("the control socket stays open"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
