//! The apiserver as a process, and kubectl to talk to it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Cluster;
use crate::http_get;
use crate::ports::Port;
use crate::process::Process;
use crate::rest::Rest;
use crate::server::built_binary;
use crate::tls::ClientIdentity;
use crate::wait::wait_until;

/// Environment variable that names the apiserver to test.
pub const APISERVER_VARIABLE: &str = "MAINSTAY_TEST_APISERVER";

/// Time for a server to be ready, and for a kubectl command.
const PATIENCE: Duration = Duration::from_secs(30);

/// An apiserver with a folder for its keys and its log, and its process while it runs.
#[derive(Debug)]
pub struct Apiserver {
    process: Option<Process>,
    endpoints: String,
    dir: TempDir,
    pki: PathBuf,
    port: Port,
    flags: Vec<String>,
    /// The authority of its certificate, if that is not its own.
    ca: Option<String>,
}

/// What a command printed and whether it succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Both streams, errors last.
    pub text: String,
    /// Whether it ended with 0.
    pub ok: bool,
}

impl Said {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            text: text(&output.stdout) + &text(&output.stderr),
            ok: output.status.success(),
        }
    }
}

impl Apiserver {
    /// Starts one over a cluster's members and waits until it is ready. `pki` is the folder of keys, shared by servers
    /// that are to trust the same clients; none for a new one.
    pub async fn start(cluster: &Cluster, pki: Option<&Path>) -> Self {
        Self::start_with(cluster, pki, &[]).await
    }

    /// The same with more flags.
    pub async fn start_with(cluster: &Cluster, pki: Option<&Path>, flags: &[&str]) -> Self {
        Self::launch(cluster, pki, flags, None).await
    }

    /// The same with a serving certificate, among the flags, of another authority than its own.
    pub async fn start_trusted(cluster: &Cluster, flags: &[&str], ca: &str) -> Self {
        Self::launch(cluster, None, flags, Some(ca.to_owned())).await
    }

    async fn launch(
        cluster: &Cluster,
        pki: Option<&Path>,
        flags: &[&str],
        ca: Option<String>,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder for an apiserver");
        let pki = pki.map_or_else(|| dir.path().join("pki"), Path::to_path_buf);
        let mut server = Self {
            process: None,
            endpoints: cluster.endpoints().join(","),
            dir,
            pki,
            port: Port::take(),
            flags: flags.iter().map(ToString::to_string).collect(),
            ca,
        };
        server.run().await;
        server
    }

    /// Starts the process, again after it ended, at the same port, and waits until it is ready.
    pub async fn run(&mut self) {
        assert!(self.process.is_none(), "the apiserver runs already");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log file");
        let mut command = std::process::Command::new(binary());
        command
            .arg(format!("--etcd-servers={}", self.endpoints))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", self.port.number()))
            .arg(format!("--cert-dir={}", self.pki.display()))
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(Process::spawn(command).expect("the apiserver starts"));
        wait_until("the apiserver is ready", PATIENCE, async || {
            let process = self.process.as_mut().expect("it was started just now");
            if let Some(status) = process.try_wait() {
                panic!("the apiserver ended with {status}:\n{}", self.log());
            }
            let own = || std::fs::read_to_string(self.pki.join("ca.crt")).ok();
            let identity = ClientIdentity {
                ca: self.ca.clone().or_else(own)?,
                own: None,
            };
            let answer = http_get::get(self.port.number(), "/readyz", Some(&identity)).await;
            answer
                .is_ok_and(|answer| answer.status == 200)
                .then_some(())
        })
        .await;
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Path of a kubeconfig of the administrator. The address in it is the server's that made the keys.
    pub fn kubeconfig(&self) -> PathBuf {
        self.pki.join("admin.kubeconfig")
    }

    /// The folder of keys, for another server.
    pub fn pki(&self) -> &Path {
        &self.pki
    }

    /// Requests without kubectl, as the administrator.
    pub fn rest(&self) -> Rest {
        let rest = Rest::new(self.port.number(), self.pki());
        match &self.ca {
            None => rest,
            Some(ca) => rest.trusting(ca),
        }
    }

    /// Runs kubectl as the administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let running = tokio::time::timeout(PATIENCE, command.output());
        let output = running
            .await
            .unwrap_or_else(|_| panic!("kubectl {arguments:?} did not end"))
            .expect("kubectl runs");
        Said::of(&output)
    }

    /// kubectl with these arguments, to be run by the caller.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
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
        self.process.take().expect("the apiserver runs").kill();
    }

    /// SIGSTOP: it keeps its connections and answers nobody.
    pub fn pause(&mut self) {
        self.process
            .as_mut()
            .expect("the apiserver runs")
            .signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process
            .as_mut()
            .expect("the apiserver runs")
            .signal(Signal::CONT);
    }

    /// Ends it as an operator would; whether it ended with 0.
    pub async fn terminate(&mut self) -> bool {
        let mut process = self.process.take().expect("the apiserver runs");
        process.terminate().await.0.success()
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
    let path = std::env::var_os(APISERVER_VARIABLE)
        .map_or_else(|| built_binary("apiserver"), PathBuf::from);
    assert!(
        path.is_file(),
        "no apiserver at {}: build it with `cargo build --release -p apiserver`, or name one in {APISERVER_VARIABLE}",
        path.display()
    );
    path
}
