//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::balance::{Balance, balance};
use crate::cluster::Cluster;
use crate::host::{boot, into_namespaces};
use crate::images::{Build, build};
use crate::inspect::{Deed, act, exec, logs, status};
use crate::join::{Join, join, leave};
use crate::load::load;
use crate::network::{Network, network};
use crate::screen::complain;
use crate::supervise::{Places, supervise};
use crate::tokens::{TokenVerb, tokens};
use crate::up::{Down, Up, down, up};
use crate::{doctor, files};

/// Brings Kubernetes clusters up and down.
#[derive(Debug, Parser)]
#[command(name = "mainstay", version)]
struct Cli {
    /// Folder of the cluster: its state, disks, keys and logs; also in the environment as MAINSTAY_DIR.
    #[arg(long, global = true, default_value_os_t = default_folder())]
    dir: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

/// That of the environment variable `MAINSTAY_DIR`, or where Linux programs keep their state.
fn default_folder() -> PathBuf {
    let set = std::env::var_os("MAINSTAY_DIR").filter(|folder| !folder.is_empty());
    set.map_or_else(|| PathBuf::from("/var/lib/mainstay"), PathBuf::from)
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a cluster, or what is missing of one, and wait until it serves. Needs root.
    Up(Up),
    /// Stop a cluster.
    Down(Down),
    /// Show hosts, processes and nodes.
    Status,
    /// Show what a process said.
    Logs {
        /// As master-1/apiserver.
        #[arg(value_name = "HOST/PROCESS")]
        name: String,
        /// How many lines.
        #[arg(long, short = 'n', default_value_t = 100)]
        lines: u32,
        /// Go on with what is still to come.
        #[arg(long, short)]
        follow: bool,
    },
    /// End a host as if its power had gone, or a process with SIGKILL. A process is started again, a host is not.
    Kill {
        #[arg(value_name = "HOST[/PROCESS]")]
        name: String,
    },
    /// End a host or a process in order; it stays so until it is started.
    Stop {
        #[arg(value_name = "HOST[/PROCESS]")]
        name: String,
    },
    /// Start a host or a process that was killed or stopped.
    Start {
        #[arg(value_name = "HOST[/PROCESS]")]
        name: String,
    },
    /// Run a command in a host; a shell if none is given.
    Exec {
        #[arg(value_name = "HOST")]
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Images of containers.
    Image {
        #[command(subcommand)]
        verb: ImageVerb,
    },
    /// Let this machine run pods for a cluster of another one, and wait until its node is ready. Needs root.
    Join(Join),
    /// End what 'join' started, and take away what it made.
    Leave,
    /// Tokens with which other machines join.
    Token {
        #[command(subcommand)]
        verb: TokenVerb,
    },
    /// Say what this machine lacks for a cluster, and what to do about it.
    Doctor,
    /// Pass connections on to whichever apiserver is ready.
    Balance(Balance),
    /// Keep this host's routes to the pods of others, and the configuration of the links of its own.
    Network(Network),
    /// Keep the processes of a folder running.
    #[command(hide = true)]
    Supervise { folder: PathBuf },
    /// Enter the namespaces of a host.
    #[command(hide = true)]
    HostOn { name: String },
    /// Become the first process of a host.
    #[command(hide = true)]
    HostBoot { name: String },
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    /// Build an image of programs, with the libraries they need, and folders.
    Build(Box<Build>),
    /// Give all workers the images of archives, and keep the archives for workers to come.
    Load {
        /// As written by docker save, or OCI layouts; in files named *.tar.
        #[arg(value_name = "FILE", required = true)]
        archives: Vec<PathBuf>,
    },
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Verb::Network(flags) = cli.verb {
        return network(flags);
    }
    // What a command waits for it says itself; what runs on tells what happens to it.
    let level = match cli.verb {
        Verb::Balance(_) | Verb::Supervise { .. } | Verb::HostBoot { .. } => "info",
        _ => "warn,kube_client=off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Fails only where somebody has set it up before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
    match obey(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain(format!("{why:#}"));
            ExitCode::FAILURE
        }
    }
}

fn obey(cli: Cli) -> Result<()> {
    let root = std::path::absolute(&cli.dir).context("--dir")?;
    let root = root.as_path();
    match cli.verb {
        Verb::Up(flags) => up(root, flags),
        Verb::Down(flags) => down(root, flags),
        Verb::Status => status(root),
        Verb::Logs {
            name,
            lines,
            follow,
        } => logs(root, &name, lines, follow),
        Verb::Kill { name } => act(root, &name, Deed::Kill),
        Verb::Stop { name } => act(root, &name, Deed::Stop),
        Verb::Start { name } => act(root, &name, Deed::Start),
        Verb::Exec { name, command } => exec(root, &name, &command),
        Verb::Image {
            verb: ImageVerb::Build(asked),
        } => build(*asked),
        Verb::Image {
            verb: ImageVerb::Load { archives },
        } => load(root, &archives),
        Verb::Join(flags) => join(root, &flags),
        Verb::Leave => leave(root),
        Verb::Token { verb } => tokens(root, &verb),
        Verb::Doctor => doctor::examine(),
        Verb::Balance(flags) => balance(&flags),
        Verb::Network(_) => Ok(()),
        Verb::Supervise { folder } => keep(&folder),
        Verb::HostOn { name } => {
            let cluster = Cluster::there(root)?;
            into_namespaces(&cluster, cluster.host(&name)?)
        }
        Verb::HostBoot { name } => {
            let cluster = Cluster::there(root)?;
            boot(&cluster, cluster.host(&name)?)
        }
    }
}

/// From inside its folder: paths of sockets are short.
fn keep(folder: &Path) -> Result<()> {
    files::folder(folder)?;
    std::env::set_current_dir(folder).with_context(|| folder.display().to_string())?;
    supervise(&Places::in_folder(Path::new("")))
}
