//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::doctor;
use crate::screen::complain;

/// Brings Kubernetes clusters up and down.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what this machine lacks for a cluster, and what to do about it.
    Doctor,
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Doctor => doctor::examine(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(why);
            ExitCode::FAILURE
        }
    }
}
