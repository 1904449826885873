//! A cluster of real server processes in one temporary folder.

use crate::http_get;
use crate::limits::{CONVERGE_DEADLINE, LOG_TAIL_LINES, READY_DEADLINE};
use crate::ports::Port;
use crate::process::Process;
use crate::raw::Raw;
use crate::server::Server;
use crate::tls::{Authority, ClientIdentity, Pair};
use crate::wait::wait_until;
use mainstay_proto::etcdserverpb::{Member as ApiMember, MemberListRequest, StatusRequest};
use rustix::process::Signal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

/// What a cluster is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The binary.
    pub server: Server,
    /// Mutual TLS for clients and peers.
    pub tls: bool,
    /// More flags for every member.
    pub flags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: Server::under_test(),
            tls: false,
            flags: Vec::new(),
        }
    }
}

impl Options {
    /// The defaults with mutual TLS.
    pub fn with_tls() -> Self {
        Self {
            tls: true,
            ..Self::default()
        }
    }

    /// The same with another flag, such as `--quota-backend-bytes=1`.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }
}

/// One member: its place on disk and on the network, and its process while it runs.
#[derive(Debug)]
pub struct Member {
    name: String,
    client: Port,
    peer: Port,
    dir: PathBuf,
    /// The data folder, where it is not below `dir`.
    data: Option<PathBuf>,
    initial_cluster: String,
    state: &'static str,
    process: Option<Process>,
}

/// Members that know each other. All processes end when this value is dropped.
#[derive(Debug)]
pub struct Cluster {
    options: Options,
    members: Vec<Member>,
    tls: Option<ClusterTls>,
    // Dropped last: the processes write below it.
    dir: TempDir,
}

#[derive(Debug)]
struct ClusterTls {
    authority: Authority,
    server: Pair,
    client: ClientIdentity,
}

impl Cluster {
    /// Starts `size` members with default options and waits until all serve.
    pub async fn start(size: usize) -> Self {
        Self::start_with(size, Options::default()).await
    }

    /// Starts `size` members and waits until all serve.
    pub async fn start_with(size: usize, options: Options) -> Self {
        let mut cluster = Self::prepare(size, options);
        cluster.start_all().await;
        cluster
    }

    /// Lays out `size` members without starting any.
    pub fn prepare(size: usize, options: Options) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("mainstay-test-")
            .tempdir()
            .expect("the temporary folder is writable");
        let tls = options.tls.then(|| ClusterTls::new(dir.path()));
        let mut cluster = Self {
            options,
            members: Vec::new(),
            tls,
            dir,
        };
        for _ in 0..size {
            cluster.push_member("new");
        }
        let initial = cluster.initial_cluster();
        for member in &mut cluster.members {
            member.initial_cluster.clone_from(&initial);
        }
        cluster
    }

    /// Number of members, running or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The binary this cluster runs.
    pub fn server(&self) -> &Server {
        &self.options.server
    }

    /// The certificate authority of a TLS cluster.
    pub fn authority(&self) -> &Authority {
        &self
            .tls
            .as_ref()
            .expect("the cluster was started with TLS")
            .authority
    }

    /// The client identity of a TLS cluster.
    pub fn client_identity(&self) -> Option<&ClientIdentity> {
        self.tls.as_ref().map(|tls| &tls.client)
    }

    /// Issues a new server certificate in place of the current one.
    pub fn rotate_server_certificate(&self) {
        self.authority().issue("server");
    }

    /// Client URL of a member.
    pub fn endpoint(&self, index: usize) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), self.client_port(index))
    }

    /// Client URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.len()).map(|index| self.endpoint(index)).collect()
    }

    /// Client port of a member.
    pub fn client_port(&self, index: usize) -> u16 {
        self.members[index].client.number()
    }

    /// Peer URL of a member.
    pub fn peer_url(&self, index: usize) -> String {
        format!(
            "{}://127.0.0.1:{}",
            self.scheme(),
            self.members[index].peer.number()
        )
    }

    /// Name of a member.
    pub fn name(&self, index: usize) -> &str {
        &self.members[index].name
    }

    /// Data folder of a member.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        let member = &self.members[index];
        member
            .data
            .clone()
            .unwrap_or_else(|| member.dir.join("data"))
    }

    /// Gives a member that has not run yet another data folder, such as one on a disk of its own.
    pub fn set_data_dir(&mut self, index: usize, path: PathBuf) {
        self.members[index].data = Some(path);
    }

    /// Process id of a running member.
    pub fn process_id(&self, index: usize) -> u32 {
        self.members[index]
            .process
            .as_ref()
            .expect("the member runs")
            .id()
    }

    /// A raw client of one member.
    pub fn raw(&self, index: usize) -> Raw {
        Raw::connect(&self.endpoint(index), self.client_identity())
    }

    /// Raw clients of all members.
    pub fn raws(&self) -> Vec<Raw> {
        (0..self.len()).map(|index| self.raw(index)).collect()
    }

    /// Starts the process of a member without waiting for it.
    pub fn spawn(&mut self, index: usize) {
        let command = self.command(index);
        let member = &mut self.members[index];
        assert!(member.process.is_none(), "{} runs already", member.name);
        let process = Process::spawn(command).expect("the server binary starts");
        member.process = Some(process);
    }

    /// Starts a member and waits until it serves.
    pub async fn start_member(&mut self, index: usize) {
        self.spawn(index);
        self.wait_ready(index).await;
    }

    /// Starts every member that does not run and waits until all serve.
    pub async fn start_all(&mut self) {
        for index in 0..self.len() {
            if self.members[index].process.is_none() {
                self.spawn(index);
            }
        }
        for index in 0..self.len() {
            self.wait_ready(index).await;
        }
    }

    /// Waits until /health of a running member says true; panics when its process ends first.
    pub async fn wait_ready(&mut self, index: usize) {
        let port = self.client_port(index);
        let identity = self.client_identity().cloned();
        let process = self.members[index]
            .process
            .as_mut()
            .expect("the member was started");
        wait_until(
            &format!("member {index} is healthy"),
            READY_DEADLINE,
            async || {
                if let Some(status) = process.try_wait() {
                    panic!("member {index} ended with {status} instead of serving");
                }
                let answer = http_get::get(port, "/health", identity.as_ref())
                    .await
                    .ok()?;
                let healthy = answer.body.contains(r#""health":"true""#);
                (answer.status == 200 && healthy).then_some(())
            },
        )
        .await;
    }

    /// kill -9, and waits for the end of the process.
    pub fn kill(&mut self, index: usize) {
        self.members[index]
            .process
            .take()
            .expect("the member runs")
            .kill();
    }

    /// kill -9 of several members, all signalled before any is waited for.
    pub fn kill_together(&mut self, indexes: &[usize]) {
        for &index in indexes {
            self.members[index]
                .process
                .as_mut()
                .expect("the member runs")
                .signal(Signal::KILL);
        }
        for &index in indexes {
            self.kill(index);
        }
    }

    /// SIGSTOP.
    pub fn pause(&mut self, index: usize) {
        self.members[index]
            .process
            .as_mut()
            .expect("the member runs")
            .signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self, index: usize) {
        self.members[index]
            .process
            .as_mut()
            .expect("the member runs")
            .signal(Signal::CONT);
    }

    /// SIGTERM without waiting; follow with [`Self::exited`].
    pub fn signal_terminate(&mut self, index: usize) {
        self.members[index]
            .process
            .as_mut()
            .expect("the member runs")
            .signal(Signal::TERM);
    }

    /// SIGTERM, and how long the process then took to end.
    pub async fn terminate(&mut self, index: usize) -> (ExitStatus, Duration) {
        self.members[index]
            .process
            .take()
            .expect("the member runs")
            .terminate()
            .await
    }

    /// Waits until a member's process has ended by itself; `None` when it still runs at the deadline.
    pub async fn exited(&mut self, index: usize, deadline: Duration) -> Option<ExitStatus> {
        let member = &mut self.members[index];
        let process = member.process.as_mut().expect("the member was started");
        let (status, _) = process.exited(deadline).await?;
        member.process = None;
        Some(status)
    }

    /// Whether the process of a member exists.
    pub fn runs(&mut self, index: usize) -> bool {
        self.members[index]
            .process
            .as_mut()
            .is_some_and(|process| process.try_wait().is_none())
    }

    /// Deletes everything a stopped member has on disk.
    pub fn wipe(&mut self, index: usize) {
        if !self.runs(index) {
            self.members[index].process = None;
        }
        assert!(
            self.members[index].process.is_none(),
            "only a stopped member can be wiped"
        );
        std::fs::remove_dir_all(self.data_dir(index)).expect("the data folder can be removed");
    }

    /// Makes a member start with `--initial-cluster-state` `new` or `existing` next time.
    pub fn set_initial_state(&mut self, index: usize, state: &'static str) {
        self.members[index].state = state;
    }

    /// Gives a member another peer port for its next start.
    pub fn move_peer_port(&mut self, index: usize) {
        self.members[index].peer = Port::take();
    }

    /// Lays out one more member that will join an existing cluster, and returns its index. Its `--initial-cluster`
    /// lists every current member of the harness and itself.
    pub fn lay_out_joining(&mut self) -> usize {
        self.push_member("existing");
        let initial = self.initial_cluster();
        let index = self.len() - 1;
        self.members[index].initial_cluster = initial;
        index
    }

    /// Drops a member from the harness: kills its process if it runs. Only the last one can be dropped.
    pub fn forget_last(&mut self) {
        self.members.pop().expect("there is a member");
    }

    /// The id of a member.
    pub async fn id(&self, index: usize) -> u64 {
        let raw = self.raw(index);
        wait_until("a member tells its id", CONVERGE_DEADLINE, async || {
            Some(raw.status(StatusRequest {}).await.ok()?.header?.member_id)
        })
        .await
    }

    /// The members as the cluster sees them.
    pub async fn member_list(&self, through: usize) -> Vec<ApiMember> {
        let raw = self.raw(through);
        wait_until("members are listed", CONVERGE_DEADLINE, async || {
            let request = MemberListRequest { linearizable: true };
            Some(raw.member_list(request).await.ok()?.members)
        })
        .await
    }

    /// Index of the leader, once all running members agree on one.
    pub async fn leader(&mut self) -> usize {
        let running: Vec<usize> = (0..self.len()).filter(|&index| self.runs(index)).collect();
        let raws: Vec<Raw> = running.iter().map(|&index| self.raw(index)).collect();
        wait_until(
            "the running members agree on a leader",
            CONVERGE_DEADLINE,
            async || {
                let mut leader = None;
                let mut ids = Vec::new();
                for raw in &raws {
                    let status = raw.status(StatusRequest {}).await.ok()?;
                    ids.push(status.header?.member_id);
                    if status.leader == 0 || leader.is_some_and(|other| other != status.leader) {
                        return None;
                    }
                    leader = Some(status.leader);
                }
                let position = ids.iter().position(|&id| Some(id) == leader)?;
                Some(running[position])
            },
        )
        .await
    }

    /// Index of some member that is not the leader and runs.
    pub async fn follower(&mut self) -> usize {
        let leader = self.leader().await;
        (0..self.len())
            .find(|&index| index != leader && self.runs(index))
            .expect("the cluster has more than one running member")
    }

    /// Path of a member's log.
    pub fn log_path(&self, index: usize) -> PathBuf {
        self.members[index].dir.join("log")
    }

    fn scheme(&self) -> &'static str {
        if self.options.tls { "https" } else { "http" }
    }

    fn push_member(&mut self, state: &'static str) {
        let name = format!("m{}", self.members.len());
        let dir = self.dir.path().join(&name);
        std::fs::create_dir_all(&dir).expect("the temporary folder is writable");
        self.members.push(Member {
            name,
            client: Port::take(),
            peer: Port::take(),
            dir,
            data: None,
            initial_cluster: String::new(),
            state,
            process: None,
        });
    }

    fn initial_cluster(&self) -> String {
        let entries: Vec<String> = (0..self.len())
            .map(|index| format!("{}={}", self.name(index), self.peer_url(index)))
            .collect();
        entries.join(",")
    }

    fn command(&self, index: usize) -> Command {
        let member = &self.members[index];
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path(index))
            .expect("the log file can be opened");
        let (client, peer) = (self.endpoint(index), self.peer_url(index));
        let mut command = Command::new(self.options.server.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCD") {
                command.env_remove(name);
            }
        }
        command.arg(format!("--name={}", member.name));
        command.arg(format!("--data-dir={}", self.data_dir(index).display()));
        command.arg(format!("--listen-client-urls={client}"));
        command.arg(format!("--advertise-client-urls={client}"));
        command.arg(format!("--listen-peer-urls={peer}"));
        command.arg(format!("--initial-advertise-peer-urls={peer}"));
        command.arg(format!("--initial-cluster={}", member.initial_cluster));
        command.arg(format!("--initial-cluster-state={}", member.state));
        command.arg("--initial-cluster-token=mainstay-test");
        command.args(self.tls.iter().flat_map(ClusterTls::flags));
        command.args(&self.options.flags);
        command.current_dir(&member.dir);
        command.stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().expect("file handles can be cloned"));
        command.stderr(log);
        command
    }
}

impl ClusterTls {
    fn new(dir: &Path) -> Self {
        let authority = Authority::new(dir);
        let server = authority.issue("server");
        let client = authority.issue("client");
        let client = authority.client(Some(&client));
        Self {
            authority,
            server,
            client,
        }
    }

    fn flags(&self) -> Vec<String> {
        let (ca, pair) = (self.authority.path(), &self.server);
        let mut flags = Vec::new();
        for prefix in ["", "peer-"] {
            flags.push(format!("--{prefix}cert-file={}", pair.cert.display()));
            flags.push(format!("--{prefix}key-file={}", pair.key.display()));
            flags.push(format!("--{prefix}trusted-ca-file={}", ca.display()));
            flags.push(format!("--{prefix}client-cert-auth"));
        }
        flags
    }
}

impl Drop for Cluster {
    #[expect(
        clippy::print_stderr,
        reason = "the logs belong to the report of the failed test"
    )]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (index, member) in self.members.iter().enumerate() {
            let log = std::fs::read(self.log_path(index)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
            eprintln!("--- last lines of {} ---\n{}", member.name, tail.join("\n"));
        }
        if std::env::var_os("MAINSTAY_TEST_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("--- kept {} ---", self.dir.path().display());
        }
    }
}
