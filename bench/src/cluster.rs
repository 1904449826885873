//! Servers started for a comparison: fresh folders, free ports, killed by their own process ids.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::interrupt;
use crate::limits::{HEALTH_CALL_TIMEOUT, HEALTH_TIMEOUT, START_ATTEMPTS};
use crate::usage::Gauge;

/// How a server is started. Both sides of a comparison get the same flags.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// What tables call it.
    pub(crate) label: String,
    pub(crate) binary: PathBuf,
    pub(crate) extra_args: Vec<String>,
    /// The folder that data folders are made in; None is the system's for temporary files.
    pub(crate) work_dir: Option<PathBuf>,
}

/// The same for both sides, so that no run meets a quota.
const QUOTA_BYTES: &str = "8589934592";

/// Running members. Dropping it kills them and removes their data.
#[derive(Debug)]
pub(crate) struct Cluster {
    members: Vec<Member>,
    dir: TempDir,
}

#[derive(Debug)]
struct Member {
    child: Child,
    client: SocketAddr,
}

impl Drop for Member {
    fn drop(&mut self) {
        // The child has not been waited for, so the id is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    /// Starts `count` members and waits until each says it is healthy.
    ///
    /// # Errors
    /// If a member ends or is not healthy within `HEALTH_TIMEOUT`, with the end of its log.
    pub(crate) fn start(recipe: &Recipe, count: usize) -> Result<Self> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            match Self::attempt(recipe, count) {
                Ok(cluster) => return Ok(cluster),
                Err(e) if interrupt::requested() => return Err(e),
                // Only a taken port is worth another try.
                Err(e) if format!("{e:#}").contains("in use") => last = Some(e),
                Err(e) => return Err(e),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    fn attempt(recipe: &Recipe, count: usize) -> Result<Self> {
        let dir = match &recipe.work_dir {
            Some(parent) => tempfile::Builder::new().prefix("bench-").tempdir_in(parent),
            None => tempfile::Builder::new().prefix("bench-").tempdir(),
        };
        let dir = dir.context("no folder for the servers' data")?;
        let ports = free_ports(2 * count)?;
        let peers: Vec<String> = (0..count)
            .map(|i| format!("m{i}=http://127.0.0.1:{}", ports[count + i]))
            .collect();
        let mut cluster = Self {
            members: Vec::with_capacity(count),
            dir,
        };
        for i in 0..count {
            let child = cluster.spawn(recipe, i, ports[i], ports[count + i], &peers.join(","))?;
            let client = SocketAddr::from(([127, 0, 0, 1], ports[i]));
            cluster.members.push(Member { child, client });
        }
        cluster.wait_healthy(&recipe.label)?;
        Ok(cluster)
    }

    fn spawn(&self, recipe: &Recipe, i: usize, client: u16, peer: u16, all: &str) -> Result<Child> {
        let log = File::create(self.log_path(i))?;
        let client = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut command = Command::new(&recipe.binary);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD_") {
                command.env_remove(name);
            }
        }
        command
            .args(["--name", &format!("m{i}")])
            .arg("--data-dir")
            .arg(self.dir.path().join(format!("m{i}")))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args([
                "--listen-peer-urls",
                &peer,
                "--initial-advertise-peer-urls",
                &peer,
            ])
            .args(["--initial-cluster", all, "--initial-cluster-state", "new"])
            .args([
                "--initial-cluster-token",
                "bench",
                "--quota-backend-bytes",
                QUOTA_BYTES,
            ])
            .args(&recipe.extra_args)
            // Ctrl-C at the terminal is for this program alone; it ends the servers itself.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command
            .spawn()
            .with_context(|| format!("cannot start {}", recipe.binary.display()))
    }

    fn log_path(&self, member: usize) -> PathBuf {
        self.dir.path().join(format!("m{member}.log"))
    }

    fn wait_healthy(&mut self, label: &str) -> Result<()> {
        let deadline = Instant::now() + HEALTH_TIMEOUT;
        for i in 0..self.members.len() {
            while !is_healthy(self.members[i].client) {
                let log = tail(&self.log_path(i));
                let member = &mut self.members[i];
                if let Some(status) = member.child.try_wait()? {
                    bail!("{label} member {i} ended with {status}:\n{log}");
                }
                if interrupt::requested() {
                    bail!(interrupt::Interrupted);
                }
                ensure!(
                    Instant::now() < deadline,
                    "{label} member {i} not healthy within {HEALTH_TIMEOUT:?}:\n{log}"
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|m| m.client).collect()
    }

    pub(crate) fn gauge(&self) -> Gauge {
        Gauge::new(self.members.iter().map(|m| m.child.id()).collect())
    }

    /// The end of the log of a member that has died, if one has.
    pub(crate) fn dead_member(&mut self) -> Option<String> {
        let dead = self
            .members
            .iter_mut()
            .position(|m| matches!(m.child.try_wait(), Ok(Some(_))))?;
        Some(format!(
            "member {dead} died:\n{}",
            tail(&self.log_path(dead))
        ))
    }
}

/// Ports nobody listens on; all are held until the last is found, so they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)))
        .collect::<Result<_, _>>()?;
    Ok(held
        .iter()
        .map(|l| l.local_addr().map(|a| a.port()))
        .collect::<Result<_, _>>()?)
}

/// Asks GET /health over HTTP/1.
fn is_healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut socket = TcpStream::connect_timeout(&address, HEALTH_CALL_TIMEOUT)?;
        socket.set_read_timeout(Some(HEALTH_CALL_TIMEOUT))?;
        socket.set_write_timeout(Some(HEALTH_CALL_TIMEOUT))?;
        write!(
            socket,
            "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        socket.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|a| {
        a.starts_with("HTTP/1.1 200") && a.replace(' ', "").contains(r#""health":"true""#)
    })
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
