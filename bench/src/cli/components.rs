//! `components`: the control plane under load.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::found;
use crate::api::Program;
use crate::plane::{self, Plan, Programs};

/// Flags of the command.
#[derive(Debug, Args)]
pub(super) struct Components {
    /// About a minute: 100 nodes, fewer pods
    #[arg(long)]
    quick: bool,
    /// Numbers of nodes, one control plane each [default: 100,1000,5000, quick: 100]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=20_000))]
    nodes: Vec<u64>,
    /// Pods that are created at once; no more than 100 to a node [default: 5000, quick: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=500_000))]
    pods: Option<u64>,
    /// Pods that die and are replaced [default: 200, quick: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    deaths: Option<u64>,
    /// Folder for components.jsonl and components.md [default: bench-results beside the build's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder for the servers' data, removed afterwards [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Folder of the binaries to measure [default: this program's]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Components {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever makes the run useless.
    pub(super) fn run(self) -> Result<ExitCode> {
        let program = std::env::current_exe().context("the program's own folder is unknown")?;
        let beside = program.parent().context("the program has no folder")?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => beside.parent().unwrap_or(beside).join("bench-results"),
        };
        let or = |quick: u64, usual: u64| if self.quick { quick } else { usual };
        let nodes = match (self.nodes.is_empty(), self.quick) {
            (false, _) => self.nodes.clone(),
            (true, true) => vec![100],
            (true, false) => vec![100, 1_000, 5_000],
        };
        let pods = self.pods.unwrap_or(or(1_000, 5_000));
        let least = nodes.iter().min().copied().unwrap_or(0);
        ensure!(
            pods <= least * 100,
            "--pods: {pods} are more than 100 to each of {least} nodes"
        );
        let plan = Plan {
            programs: self.programs(self.bin_dir.as_deref().unwrap_or(beside))?,
            nodes,
            pods,
            deaths: self.deaths.unwrap_or(or(30, 200)),
            idle: Duration::from_secs(or(5, 30)),
            out,
        };
        let markdown = plane::run(&plan)?;
        std::io::stdout().write_all(markdown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn programs(&self, folder: &Path) -> Result<Programs> {
        let binary = |name: &str| {
            let path = folder.join(name);
            ensure!(found(&path), "{} not found (see --bin-dir)", path.display());
            Ok(path)
        };
        Ok(Programs {
            stack: Program {
                label: "mainstay".to_owned(),
                apiserver: binary("apiserver")?,
                store: binary("kvstore")?,
                work_dir: self.work_dir.clone(),
            },
            controllers: binary("controllers")?,
            scheduler: binary("scheduler")?,
            fake_nodes: binary("fake-nodes")?,
        })
    }
}
