//! The apiserver as a process, and kubectl to talk to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::Cluster;
use crate::ports::Port;
use crate::process::Process;
use crate::server::Server;
use crate::wait::wait_until;

/// Environment variable that names the apiserver to test.
pub const APISERVER_VARIABLE: &str = "MAINSTAY_TEST_APISERVER";

/// Time for a server to be ready, and for a kubectl command.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running apiserver with a folder for its keys and its log.
#[derive(Debug)]
pub struct Apiserver {
    process: Process,
    dir: TempDir,
    kubeconfig: PathBuf,
    port: Port,
}

/// What a command printed and whether it succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Both streams, errors last.
    pub text: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

impl Apiserver {
    /// Starts one over a cluster's members and waits until it is ready. `pki` is the folder of keys, shared by servers
    /// that are to trust the same clients; none for a new one.
    pub async fn start(cluster: &Cluster, pki: Option<&Path>) -> Self {
        let dir = tempfile::tempdir().expect("a folder for an apiserver");
        let pki = pki.map_or_else(|| dir.path().join("pki"), Path::to_path_buf);
        let port = Port::take();
        let log = std::fs::File::create(dir.path().join("log")).expect("a log file");
        let mut command = std::process::Command::new(binary());
        command
            .arg(format!("--etcd-servers={}", cluster.endpoints().join(",")))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", port.number()))
            .arg(format!("--cert-dir={}", pki.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = Process::spawn(command).expect("the apiserver starts");
        let server = Self {
            process,
            kubeconfig: pki.join("admin.kubeconfig"),
            dir,
            port,
        };
        wait_until("the apiserver is ready", PATIENCE, async || {
            let said = server.kubectl(&["get", "--raw", "/readyz"]).await;
            (said.ok && said.text == "ok").then_some(())
        })
        .await;
        server
    }

    /// The folder of keys, for another server.
    pub fn pki(&self) -> &Path {
        self.kubeconfig.parent().unwrap_or(Path::new("/"))
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let running = tokio::time::timeout(PATIENCE, command.output());
        let output = running
            .await
            .unwrap_or_else(|_| panic!("kubectl {arguments:?} did not end"))
            .expect("kubectl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            text: text(&output.stdout) + &text(&output.stderr),
            ok: output.status.success(),
        }
    }

    /// kubectl with these arguments, to be run by the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg(format!("--server=https://127.0.0.1:{}", self.port.number()))
            // Discovery is cached by server, and ports are used again.
            .arg("--cache-dir")
            .arg(self.dir.path().join("cache"))
            .args(arguments)
            .kill_on_drop(true);
        command
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it as an operator would; whether it ended with 0.
    pub async fn terminate(&mut self) -> bool {
        self.process.terminate().await.0.success()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Whether there is a kubectl to test with.
pub fn has_kubectl() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join("kubectl").is_file())
}

/// The apiserver under test. Panics with one line when it is missing.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os(APISERVER_VARIABLE).map_or_else(
        || Server::under_test().path().with_file_name("apiserver"),
        PathBuf::from,
    );
    assert!(
        path.is_file(),
        "no apiserver at {}: build it with `cargo build --release -p apiserver`, or name one in {APISERVER_VARIABLE}",
        path.display()
    );
    path
}
