//! `mainstay` and kubectl as programs: run to their end, with bounds, and with what they said.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mainstay_tests::apiserver::Said;
use tokio::process::Command;
use tokio::time::timeout;

use super::limits::{COMMAND, UP};
use crate::program::built;

/// A cluster's folder, and the program that looks after it.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    pub(crate) program: PathBuf,
    pub(crate) root: PathBuf,
}

impl Launcher {
    pub(crate) fn new(root: &Path) -> Self {
        let program = built("mainstay");
        assert!(
            program.is_file(),
            "no mainstay at {}: build it with `cargo build --release --bins`",
            program.display()
        );
        Self {
            program,
            root: root.to_owned(),
        }
    }

    /// Runs a command of the launcher. `up` and `down` may take longer than others.
    pub(crate) async fn run(&self, words: &[&str]) -> Said {
        let patience = match words.first() {
            Some(&("up" | "down" | "start" | "stop" | "kill")) => UP,
            _ => COMMAND,
        };
        let mut command = Command::new(&self.program);
        command.arg("--dir").arg(&self.root).args(words);
        said(command, patience, words).await
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }

    pub(crate) fn kubectl(&self) -> Command {
        let mut command = Command::new("kubectl");
        command
            .env_remove("KUBECONFIG")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.root.join("kubectl-cache"));
        command
    }
}

/// What a command said. One that does not end in time is killed, and has failed.
pub(crate) async fn said(
    mut command: Command,
    patience: Duration,
    words: &[impl AsRef<OsStr>],
) -> Said {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match timeout(patience, command.output()).await {
        Ok(Ok(output)) => Said {
            text: text(&output.stdout) + &text(&output.stderr),
            ok: output.status.success(),
        },
        Ok(Err(error)) => Said {
            text: error.to_string(),
            ok: false,
        },
        Err(_) => {
            let words: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
            Said {
                text: format!("{words:?} did not end in {patience:?}"),
                ok: false,
            }
        }
    }
}

/// What a machine lacks for containers on hosts of its own, by the launcher's own account, or for these tests.
pub(crate) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("root".to_owned());
    }
    if !mainstay_tests::apiserver::has_kubectl() {
        return Some("kubectl".to_owned());
    }
    let doctor = std::process::Command::new(built("mainstay"))
        .arg("doctor")
        .output();
    let said = match doctor {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return Some(format!("mainstay doctor: {error}")),
    };
    let lacks = |line: &&str| line.to_ascii_lowercase().starts_with("missing");
    said.lines().find(lacks).map(str::to_owned)
}
