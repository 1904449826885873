//! `stack`: a running cluster with containers.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::found;
use crate::stack::{self, Plan};

/// Flags of the command.
#[derive(Debug, Args)]
pub(super) struct Stack {
    /// About two minutes: fewer pods and services
    #[arg(long)]
    quick: bool,
    /// Hosts with a control plane
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=7))]
    masters: u8,
    /// Hosts for pods
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=20))]
    workers: u8,
    /// Numbers of services, rising [default: 10,1000,10000, quick: 10,1000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=50_000))]
    services: Vec<u64>,
    /// Pods one at a time [default: 30, quick: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    single: Option<u64>,
    /// Pods at once [default: 60, quick: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    burst: Option<u64>,
    /// Folder for stack.jsonl and stack.md [default: bench-results beside the build's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder for the cluster, removed afterwards [default: one in the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Folder of the binaries to measure [default: this program's]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Stack {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever makes the run useless.
    pub(super) fn run(self) -> Result<ExitCode> {
        let own = std::env::current_exe().context("the program's own folder is unknown")?;
        let beside = own.parent().context("the program has no folder")?;
        let program = self.bin_dir.as_deref().unwrap_or(beside).join("mainstay");
        ensure!(
            found(&program),
            "{} not found (see --bin-dir)",
            program.display()
        );
        let out = match &self.out {
            Some(out) => out.clone(),
            None => beside.parent().unwrap_or(beside).join("bench-results"),
        };
        let or = |quick: u64, usual: u64| if self.quick { quick } else { usual };
        let services = match (self.services.is_empty(), self.quick) {
            (false, _) => self.services.clone(),
            (true, true) => vec![10, 1_000],
            (true, false) => vec![10, 1_000, 10_000],
        };
        // Held until the cluster in it is gone.
        let folder = match &self.work_dir {
            Some(folder) => tempfile::tempdir_in(folder),
            None => tempfile::tempdir(),
        }?;
        let plan = Plan {
            program,
            root: folder.path().join("cluster"),
            masters: self.masters,
            workers: self.workers,
            single: self.single.unwrap_or(or(10, 30)),
            burst: self.burst.unwrap_or(or(30, 60)),
            services,
            samples: or(10, 30),
            idle: Duration::from_secs(or(10, 30)),
            out,
        };
        let markdown = stack::run(&plan)?;
        std::io::stdout().write_all(markdown.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
