//! A server with its store, and the keys that both servers share.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;
use crate::Cluster;
use crate::apiserver;
use crate::ports::Port;
use crate::process::Process;
use crate::wait::wait_until;

/// Until a server says it is ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// A member of system:masters.
const TOKEN: &str = "token-of-the-comparison";

/// Keys, certificates and tokens in a folder. Our server makes them.
#[derive(Debug)]
pub struct Pki {
    dir: TempDir,
}

impl Default for Pki {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("a folder for keys");
        let users = format!(
            "{TOKEN},admin,admin-uid,\"system:masters\"\n{TOKEN}-bob,bob,bob-uid,\"people,readers\"\n"
        );
        let write = |name: &str, text: String| {
            std::fs::write(dir.path().join(name), text).expect("a file of keys");
        };
        write("tokens.csv", users);
        // Upstream reads no public key from this form of a private one.
        let key = rcgen::KeyPair::generate().expect("keys can be generated");
        write("sa.key", key.serialize_pem());
        write("sa.pub", key.public_key_pem());
        Self { dir }
    }
}

impl Pki {
    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }
}

/// A server that is asked.
#[derive(Debug)]
pub struct Contender {
    /// `mainstay` or `upstream`.
    pub name: &'static str,
    /// Speaks with it.
    pub client: Client,
    ca: PathBuf,
    port: Port,
    // Processes first, then what they write to.
    _server: Process,
    _store: Store,
    dir: TempDir,
}

/// What holds a server's objects; dropped after the server.
#[derive(Debug)]
enum Store {
    Ours {
        _cluster: Box<Cluster>,
    },
    Etcd {
        _process: Process,
        _ports: [Port; 2],
    },
}

impl Contender {
    /// Our server on our store. It must be started first: it makes the keys.
    pub async fn mainstay(pki: &Pki) -> Self {
        let cluster = Cluster::start(1).await;
        let endpoints = cluster.endpoints().join(",");
        let command = Command::new(apiserver::binary());
        let flags = vec![
            format!("--cert-dir={}", pki.dir.path().display()),
            format!("--etcd-servers={endpoints}"),
        ];
        let store = Store::Ours {
            _cluster: Box::new(cluster),
        };
        Self::start("mainstay", pki, command, flags, store).await
    }

    /// The originals, from a folder of binaries.
    pub async fn upstream(pki: &Pki, bin: &Path) -> Self {
        let ports = [Port::take(), Port::take()];
        let urls = [0, 1].map(|i: usize| format!("http://127.0.0.1:{}", ports[i].number()));
        let data = pki.dir.path().join("etcd");
        let mut etcd = Command::new(bin.join("etcd"));
        etcd.arg(format!("--data-dir={}", data.display()))
            .arg(format!("--listen-client-urls={}", urls[0]))
            .arg(format!("--advertise-client-urls={}", urls[0]))
            .arg(format!("--listen-peer-urls={}", urls[1]))
            .arg(format!("--initial-advertise-peer-urls={}", urls[1]))
            .arg(format!("--initial-cluster=default={}", urls[1]))
            .arg("--unsafe-no-fsync")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::spawn(etcd).expect("upstream's etcd starts");
        let flags = vec![
            format!("--etcd-servers={}", urls[0]),
            format!("--tls-cert-file={}", pki.file("apiserver.crt")),
            format!("--tls-private-key-file={}", pki.file("apiserver.key")),
            format!("--client-ca-file={}", pki.file("ca.crt")),
            format!("--service-account-key-file={}", pki.file("sa.pub")),
            format!("--service-account-signing-key-file={}", pki.file("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--watch-cache=true".to_owned(),
        ];
        let store = Store::Etcd {
            _process: process,
            _ports: ports,
        };
        let command = Command::new(bin.join("kube-apiserver"));
        Self::start("upstream", pki, command, flags, store).await
    }

    async fn start(
        name: &'static str,
        pki: &Pki,
        mut command: Command,
        flags: Vec<String>,
        store: Store,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a folder for a server");
        let port = Port::take();
        let log = File::create(dir.path().join("log")).expect("a log file");
        command
            .arg("--bind-address=127.0.0.1")
            .arg("--advertise-address=192.0.2.10")
            .arg(format!("--secure-port={}", port.number()))
            .arg(format!("--token-auth-file={}", pki.file("tokens.csv")))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut server = Process::spawn(command).expect("the server starts");
        let ca = pki.dir.path().join("ca.crt");
        let number = port.number();
        let log = dir.path().join("log");
        let client = wait_until("a server is ready", PATIENCE, async || {
            if server.try_wait().is_some() {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                panic!("{name} ended: {tail:#?}");
            }
            let client = ca.exists().then(|| Client::new(&ca, number, TOKEN))?;
            let ready = client.get("/readyz", "*/*").await.ok()?;
            (ready.status == 200).then_some(client)
        })
        .await;
        Self {
            name,
            client,
            ca,
            port,
            _server: server,
            _store: store,
            dir,
        }
    }

    /// The URL it listens at.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port.number())
    }

    /// A folder for what belongs to this server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a kubeconfig of the administrator with a namespace.
    pub fn kubeconfig(&self, namespace: &str) -> PathBuf {
        let path = self.dir.path().join(format!("{namespace}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
             clusters:\n- name: it\n  cluster: {{server: \"{}\", certificate-authority: \"{}\"}}\n\
             contexts:\n- name: it\n  context: {{cluster: it, user: admin, namespace: {namespace}}}\n\
             users:\n- name: admin\n  user: {{token: {TOKEN}}}\n",
            self.url(),
            self.ca.display(),
        );
        std::fs::write(&path, text).expect("a kubeconfig");
        path
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}
