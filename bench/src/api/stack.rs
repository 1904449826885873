//! A store with apiservers on it, started for a measurement and ended by their own process ids.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::bodies;
use super::fleet::call_once;
use super::http::{Content, JSON};
use crate::cluster::{Cluster, Recipe, tail};
use crate::interrupt;
use crate::limits::READY_TIMEOUT;
use crate::usage::Gauge;

/// The binaries of a stack.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// What tables call it.
    pub(crate) label: String,
    pub(crate) apiserver: PathBuf,
    pub(crate) store: PathBuf,
    /// The folder that data folders are made in; None is the system's for temporary files.
    pub(crate) work_dir: Option<PathBuf>,
}

/// The administrator of a stack that nobody else can reach.
pub(crate) const TOKEN: &str = "bench";

/// An address for documentation: loopback ones are refused as endpoints.
const ADVERTISED: &str = "192.0.2.1";

/// Running processes. Dropping it kills them and removes their data.
#[derive(Debug)]
pub(crate) struct Stack {
    servers: Vec<Server>,
    store: Cluster,
    dir: TempDir,
    apiserver: PathBuf,
}

#[derive(Debug)]
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child has not been waited for, so the id is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stack {
    /// Starts a store and one apiserver. Returns the stack and how long the apiserver took to be ready.
    ///
    /// # Errors
    /// If one of them does not come up in time, with the end of its log.
    pub(crate) fn start(program: &Program) -> Result<(Self, Duration)> {
        let recipe = Recipe {
            label: program.label.clone(),
            binary: program.store.clone(),
            extra_args: Vec::new(),
            work_dir: program.work_dir.clone(),
        };
        let store = Cluster::start(&recipe, 1)?;
        let builder = |mut b: tempfile::Builder<'_, '_>| match &program.work_dir {
            Some(parent) => b.prefix("bench-").tempdir_in(parent),
            None => b.prefix("bench-").tempdir(),
        };
        let dir = builder(tempfile::Builder::new()).context("no folder for the servers' keys")?;
        let key = rcgen::KeyPair::generate().context("a key for service accounts")?;
        fs::write(dir.path().join("sa.key"), key.serialize_pem())?;
        fs::write(dir.path().join("sa.pub"), key.public_key_pem())?;
        let line = format!("{TOKEN},bench,bench,\"system:masters\"\n");
        fs::write(dir.path().join("tokens.csv"), line)?;
        let mut stack = Self {
            servers: Vec::new(),
            store,
            dir,
            apiserver: program.apiserver.clone(),
        };
        let took = stack.add_server()?;
        Ok((stack, took))
    }

    /// Starts apiservers until there are so many.
    ///
    /// # Errors
    /// As `start`.
    pub(crate) fn grow(&mut self, servers: usize) -> Result<()> {
        while self.servers.len() < servers {
            self.add_server()?;
        }
        Ok(())
    }

    /// Ends apiservers until there are so few.
    pub(crate) fn shrink(&mut self, servers: usize) {
        self.servers.truncate(servers);
    }

    fn add_server(&mut self) -> Result<Duration> {
        let number = self.servers.len();
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let dir = self.dir.path();
        let log = File::create(self.log(number))?;
        let file = |name: &str| dir.join(name).display().to_string();
        let mut command = Command::new(&self.apiserver);
        command
            .arg(format!(
                "--etcd-servers=http://{}",
                self.store.addresses()[0]
            ))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--advertise-address={ADVERTISED}"))
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", file(&format!("certs-{number}"))))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg(format!("--service-account-key-file={}", file("sa.pub")))
            .arg(format!(
                "--service-account-signing-key-file={}",
                file("sa.key")
            ))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--authorization-mode=Node,RBAC")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let begun = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.apiserver.display()))?;
        self.servers.push(Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        });
        self.wait_ready(number, begun)?;
        Ok(begun.elapsed())
    }

    fn log(&self, server: usize) -> PathBuf {
        self.dir.path().join(format!("apiserver-{server}.log"))
    }

    fn wait_ready(&mut self, number: usize, begun: Instant) -> Result<()> {
        loop {
            let server = &mut self.servers[number];
            let asked = call_once(server.address, TOKEN, "GET", "/readyz", Content::NONE);
            if matches!(asked, Ok((200, _))) {
                return Ok(());
            }
            let ended = server.child.try_wait()?;
            let log = tail(&self.log(number));
            if let Some(status) = ended {
                bail!("apiserver {number} ended with {status}:\n{log}");
            }
            if interrupt::requested() {
                bail!(interrupt::Interrupted);
            }
            ensure!(
                begun.elapsed() < READY_TIMEOUT,
                "apiserver {number} is not ready after {READY_TIMEOUT:?}:\n{log}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes the namespaces of all pods.
    ///
    /// # Errors
    /// If one is refused.
    pub(crate) fn furnish(&self) -> Result<()> {
        for n in 0..bodies::NAMESPACES as u64 {
            for (path, body) in bodies::prerequisites(&bodies::namespace(n)) {
                let content = Content {
                    accept: JSON,
                    media: JSON,
                    body: &body,
                };
                let (status, text) =
                    call_once(self.servers[0].address, TOKEN, "POST", &path, content)?;
                ensure!(
                    status == 201 || status == 409,
                    "POST {path}: {status} {}",
                    String::from_utf8_lossy(&text)
                );
            }
        }
        Ok(())
    }

    /// Where the servers' files are; removed with them.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The administrator's access to the first server, as Mainstay's apiserver writes it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("certs-0").join("admin.kubeconfig")
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.address).collect()
    }

    /// The processes of all apiservers.
    pub(crate) fn apiservers(&self) -> Gauge {
        Gauge::new(self.servers.iter().map(|s| s.child.id()).collect())
    }

    /// The process of one apiserver.
    pub(crate) fn apiserver(&self, number: usize) -> Gauge {
        Gauge::new(vec![self.servers[number].child.id()])
    }

    /// The process of the store.
    pub(crate) fn store(&self) -> Gauge {
        self.store.gauge()
    }

    /// The end of the log of a process that has died, if one has.
    pub(crate) fn dead(&mut self) -> Option<String> {
        let dead = self
            .servers
            .iter_mut()
            .position(|s| matches!(s.child.try_wait(), Ok(Some(_))));
        match dead {
            Some(number) => Some(format!(
                "apiserver {number} died:\n{}",
                tail(&self.log(number))
            )),
            None => self.store.dead_member(),
        }
    }
}
