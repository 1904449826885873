//! Kubernetes' own Go client against the apiserver. The tests themselves are in `client-go/`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "this crate is all tests"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mainstay_tests::masters::Masters;
use tokio::process::Command;
use tokio::time::timeout;

/// Building the client, once: it is large.
const BUILD_DEADLINE: Duration = Duration::from_secs(900);
/// All tests.
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn client_go_works() {
    let mut version = Command::new("go");
    version.arg("version").stdout(Stdio::null());
    if !version.status().await.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: the tests of client-go need Go (no `go` command here)");
        return;
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("client-go");
    let out = tempfile::tempdir().unwrap();
    let binary = out.path().join("client-go-tests");
    let mut build = Command::new("go");
    build
        .args(["test", "-c", "-o"])
        .arg(&binary)
        .current_dir(&dir)
        .kill_on_drop(true);
    let built = timeout(BUILD_DEADLINE, build.output());
    let built = built.await.expect("the Go tests are built").unwrap();
    let text = String::from_utf8_lossy(&built.stderr);
    assert!(
        built.status.success(),
        "the Go tests cannot be built (offline?):\n{text}"
    );

    let mut masters = Masters::start().await;
    // The compiled tests are run directly, so that nothing is left over when this test fails first.
    let mut tests = Command::new(&binary);
    tests
        .args(["-test.v", "-test.timeout=4m"])
        .current_dir(&dir);
    let said = masters.drive(tests, DEADLINE).await;
    println!("{}", said.text);
    assert!(said.ok, "{}", said.text);
}
