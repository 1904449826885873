//! The cluster: brought up by the launcher, gone when this is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// One of its hosts, which is on.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) is_master: bool,
    /// Id of its first process, from which all others of the host come.
    pub(crate) first: u32,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    program: PathBuf,
    root: PathBuf,
    masters: u8,
    workers: u8,
}

impl Cluster {
    /// One that does not run yet. Only one that this made itself is ever taken down: `root` must be empty.
    ///
    /// # Errors
    /// If there is a cluster in the folder.
    pub(crate) fn new(program: &Path, root: &Path, masters: u8, workers: u8) -> Result<Self> {
        let there = root.join("state.json").exists();
        ensure!(!there, "there is a cluster in {} already", root.display());
        Ok(Self {
            program: program.to_owned(),
            root: root.to_owned(),
            masters,
            workers,
        })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let output = Command::new(&self.program)
            .arg("--dir")
            .arg(&self.root)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .with_context(|| self.program.display().to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mainstay {words:?}: {said}");
        Ok(())
    }

    /// Brings it up, and returns how long that took until all nodes were ready.
    ///
    /// # Errors
    /// If it does not come up.
    pub(crate) fn up(&self) -> Result<Duration> {
        let (masters, workers) = (self.masters, self.workers);
        let begun = Instant::now();
        let counts = [
            format!("--masters={masters}"),
            format!("--workers={workers}"),
        ];
        self.run(&["up", &counts[0], &counts[1]])?;
        Ok(begun.elapsed())
    }

    /// Stops it; its data stays.
    ///
    /// # Errors
    /// If it does not stop.
    pub(crate) fn down(&self) -> Result<()> {
        self.run(&["down"])
    }

    /// # Errors
    /// If the cluster is not up.
    pub(crate) fn hosts(&self) -> Result<Vec<Host>> {
        let state: Value = serde_json::from_slice(&fs::read(self.root.join("state.json"))?)?;
        let hosts = state["hosts"].as_array().context("no hosts")?;
        let each = hosts.iter().map(|host| {
            let name = host["name"].as_str().context("no name")?.to_owned();
            let file = self.root.join("hosts").join(&name);
            let first = fs::read(file.join("first-process.json"))?;
            let first: Value = serde_json::from_slice(&first)?;
            Ok(Host {
                is_master: host["role"] == "master",
                first: u32::try_from(first["pid"].as_u64().context("no id")?)?,
                name,
            })
        });
        each.collect()
    }

    /// The administrator's client.
    ///
    /// # Errors
    /// If there is no kubeconfig.
    pub(crate) async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(self.root.join("admin.kubeconfig"))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await?;
        Ok(Client::try_from(config)?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What is left is found by the next `down` in this folder.
        let _ = self.run(&["down", "--delete"]);
    }
}
