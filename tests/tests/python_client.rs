//! The official Python client against the apiserver. The tests themselves are in `python/`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "this crate is all tests"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mainstay_tests::masters::Masters;
use tokio::process::Command;

/// All tests.
const DEADLINE: Duration = Duration::from_secs(300);
/// Installing the client, once.
const INSTALL_DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn the_python_client_works() {
    let python = match environment().await {
        Ok(python) => python,
        Err(why) => {
            eprintln!("SKIPPED: the tests of the Python client need {why}");
            return;
        }
    };
    let mut masters = Masters::start().await;
    let mut tests = Command::new(python);
    tests
        .args(["-B", "-m", "unittest", "discover", "--verbose"])
        .current_dir(folder());
    let said = masters.drive(tests, DEADLINE).await;
    println!("{}", said.text);
    assert!(said.ok, "{}", said.text);
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// Python with the client, made once for each list of packages. Else what is missing.
async fn environment() -> Result<PathBuf, String> {
    let version = run("python3", &["--version"]).await;
    version.map_err(|_| "Python (no `python3` command here)".to_owned())?;
    let packages = folder().join("requirements.txt");
    let wanted = fs::read_to_string(&packages).unwrap();
    let home = std::env::var_os("HOME").ok_or("a home folder for its packages")?;
    let dir = Path::new(&home).join(".cache/mainstay/python-client");
    fs::create_dir_all(&dir).map_err(|e| format!("a folder {}: {e}", dir.display()))?;
    // Test processes side by side install it once.
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let python = dir.join("venv/bin/python");
    let installed = dir.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let venv = dir.join("venv");
    run(
        "python3",
        &["-m", "venv", "--clear", &venv.to_string_lossy()],
    )
    .await?;
    let packages = packages.to_string_lossy().into_owned();
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
        "-r",
        &packages,
    ];
    run(&python.to_string_lossy(), &install).await?;
    fs::write(installed, wanted).unwrap();
    Ok(python)
}

/// Runs a command of the setup; in words what went wrong.
async fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = tokio::time::timeout(INSTALL_DEADLINE, command.output()).await;
    let name = format!("`{program} {}` to succeed", arguments.join(" "));
    match said {
        Err(_) => Err(format!("{name}: not within {INSTALL_DEADLINE:?}")),
        Ok(Err(e)) => Err(format!("{name}: {e}")),
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
