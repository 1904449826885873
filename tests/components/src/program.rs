//! Components as processes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mainstay_tests::ports::Port;
use mainstay_tests::process::Process;
use rustix::process::Signal;
use tempfile::TempDir;

/// A component's process and its log.
#[derive(Debug)]
pub struct Program {
    process: Process,
    dir: TempDir,
}

impl Program {
    /// Starts a program of this build. Panics with one line if it was not built.
    #[must_use]
    pub fn start(name: &str, flags: &[String]) -> Self {
        Self::run(Command::new(built(name)), name, flags)
    }

    /// The same in a network namespace, which is given by its file. Needs root and `nsenter`.
    #[must_use]
    pub fn start_in(namespace: &str, name: &str, flags: &[String]) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={namespace}")).arg("--");
        command.arg(built(name));
        Self::run(command, name, flags)
    }

    fn run(mut command: Command, name: &str, flags: &[String]) -> Self {
        let path = built(name);
        assert!(
            path.is_file(),
            "no {name} at {}: build it with `cargo build --release --bins`",
            path.display()
        );
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        command
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Self {
            process: Process::spawn(command).unwrap(),
            dir,
        }
    }

    /// The same with a page for everybody on loopback, under the certificate of the apiserver whose keys are in `pki`.
    #[must_use]
    pub fn with_pages(
        name: &str,
        kubeconfig: &Path,
        pki: &Path,
        pages: &Port,
        more: &[String],
    ) -> Self {
        let mut flags = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", pages.number()),
            format!("--tls-cert-file={}", pki.join("apiserver.crt").display()),
            format!(
                "--tls-private-key-file={}",
                pki.join("apiserver.key").display()
            ),
        ];
        flags.extend_from_slice(more);
        Self::start(name, &flags)
    }

    /// SIGSTOP.
    pub fn pause(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// SIGTERM; its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.process.terminate().await.0.code()
    }

    /// Waits for it to end by itself; its exit code.
    pub async fn ended(&mut self, deadline: Duration) -> Option<i32> {
        let ended = self.process.exited(deadline).await;
        let (status, _) = ended.unwrap_or_else(|| panic!("it still runs:\n{}", self.log()));
        status.code()
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Beside the tests.
pub(crate) fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let mut dir = own.parent().unwrap();
    if dir.ends_with("deps") {
        dir = dir.parent().unwrap();
    }
    dir.join(name)
}
