//! The command `apiserver`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::{found, seconds};
use crate::api::{self, Plan, Program};
use crate::compare::say;

/// Flags of the command.
#[derive(Debug, Args)]
pub(super) struct Apiserver {
    /// A few minutes: fewer pods, shorter windows, no 10,000 watchers
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this; may be a list
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    only: Vec<String>,
    /// Length of a window in seconds [default: 5, quick: 2]
    #[arg(long)]
    secs: Option<f64>,
    /// Runs per row and stack [default: 3, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=99))]
    repeats: Option<u8>,
    /// Pods of the lists [default: 100000, quick: 10000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    pods: Option<u64>,
    /// Folder for apiserver.jsonl and apiserver.md [default: bench-results beside the build's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder for the servers' data, removed afterwards [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The apiserver to measure [default: apiserver beside this program]
    #[arg(long, value_name = "PATH")]
    apiserver_bin: Option<PathBuf>,
    /// The store under it [default: kvstore beside this program]
    #[arg(long, value_name = "PATH")]
    store_bin: Option<PathBuf>,
    /// Another stack to measure: LABEL=APISERVER,STORE, both the paths of binaries; may be repeated
    #[arg(long, value_name = "STACK", value_parser = stack)]
    with: Vec<(String, PathBuf, PathBuf)>,
}

/// Reads `LABEL=APISERVER,STORE`.
fn stack(text: &str) -> Result<(String, PathBuf, PathBuf), String> {
    let parts = || {
        let (label, binaries) = text.split_once('=')?;
        let (apiserver, store) = binaries.split_once(',')?;
        Some((label.to_owned(), apiserver.into(), store.into()))
    };
    parts().ok_or_else(|| format!("{text:?} is not LABEL=APISERVER,STORE"))
}

impl Apiserver {
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
        let plan = Plan {
            programs: self.programs(beside)?,
            quick: self.quick,
            patterns: self.only,
            warm_up: seconds(if self.quick { 0.3 } else { 1.0 })?,
            window: seconds(self.secs.unwrap_or(if self.quick { 2.0 } else { 5.0 }))?,
            repeats: usize::from(self.repeats.unwrap_or(if self.quick { 1 } else { 3 })),
            pods: self
                .pods
                .unwrap_or(if self.quick { 10_000 } else { 100_000 }),
            out,
        };
        let (markdown, errors) = api::run(&plan)?;
        std::io::stdout().write_all(markdown.as_bytes())?;
        if errors > 0 {
            say(&format!(
                "{errors} errors at the subject; see the marked rows"
            ));
            return Ok(ExitCode::from(2));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn programs(&self, beside: &Path) -> Result<Vec<Program>> {
        let or = |given: &Option<PathBuf>, name: &str| {
            given.clone().unwrap_or_else(|| beside.join(name))
        };
        let own = (
            "mainstay".to_owned(),
            or(&self.apiserver_bin, "apiserver"),
            or(&self.store_bin, "kvstore"),
        );
        let all: Vec<Program> = std::iter::once(own)
            .chain(self.with.iter().cloned())
            .map(|(label, apiserver, store)| Program {
                label,
                apiserver,
                store,
                work_dir: self.work_dir.clone(),
            })
            .collect();
        for binary in all.iter().flat_map(|p| [&p.apiserver, &p.store]) {
            ensure!(found(binary), "{} not found", binary.display());
        }
        Ok(all)
    }
}
