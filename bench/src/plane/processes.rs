//! The processes, started for a measurement and ended by their own ids.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::api::{Program, Stack};
use crate::cluster::tail;
use crate::usage::Gauge;

/// The binaries.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) stack: Program,
    pub(crate) controllers: PathBuf,
    pub(crate) scheduler: PathBuf,
    pub(crate) fake_nodes: PathBuf,
}

/// A whole control plane. Dropping it kills its processes and removes their data.
#[derive(Debug)]
pub(crate) struct Processes {
    // Ended before the servers they talk to.
    components: Vec<Component>,
    pub(crate) stack: Stack,
}

#[derive(Debug)]
struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Component {
    fn drop(&mut self) {
        // The child has not been waited for, so the id is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Processes {
    /// Starts everything with so many nodes. Nothing is waited for but the apiserver.
    ///
    /// # Errors
    /// If one of them cannot be started.
    pub(crate) fn start(programs: &Programs, nodes: u64) -> Result<Self> {
        let (stack, _) = Stack::start(&programs.stack)?;
        stack.furnish()?;
        let mut plane = Self {
            components: Vec::new(),
            stack,
        };
        let nodes = format!("--nodes={nodes}");
        plane.add(
            "controllers",
            &programs.controllers,
            &["--leader-elect=false"],
        )?;
        plane.add("scheduler", &programs.scheduler, &["--leader-elect=false"])?;
        plane.add("fake-nodes", &programs.fake_nodes, &[&nodes])?;
        Ok(plane)
    }

    fn add(&mut self, name: &'static str, binary: &Path, flags: &[&str]) -> Result<()> {
        let log = self.stack.folder().join(format!("{name}.log"));
        let file = File::create(&log)?;
        let child = Command::new(binary)
            .arg(format!(
                "--kubeconfig={}",
                self.stack.kubeconfig().display()
            ))
            .arg("--secure-port=0")
            .args(flags)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        self.components.push(Component { name, child, log });
        Ok(())
    }

    /// Every process by name.
    pub(crate) fn gauges(&self) -> Vec<(&'static str, Gauge)> {
        let servers = [
            ("store", self.stack.store()),
            ("apiserver", self.stack.apiservers()),
        ];
        let components = self.components.iter();
        let components = components.map(|c| (c.name, Gauge::new(vec![c.child.id()])));
        servers.into_iter().chain(components).collect()
    }

    /// The end of the log of a process that has died, if one has.
    pub(crate) fn dead(&mut self) -> Option<String> {
        let mut components = self.components.iter_mut();
        let dead = components.position(|c| matches!(c.child.try_wait(), Ok(Some(_))));
        match dead.map(|at| &self.components[at]) {
            Some(dead) => Some(format!("{} died:\n{}", dead.name, tail(&dead.log))),
            None => self.stack.dead(),
        }
    }
}
