//! The command line.

mod apiserver;
mod components;
mod stack;

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Parser, Subcommand};

use self::apiserver::Apiserver;
use self::components::Components;
use self::stack::Stack;
use crate::cluster::Recipe;
use crate::compare::{self, Plan, say};
use crate::interrupt;
use crate::load::{self, Call, Keys, Target, Workload};
use crate::usage::Gauge;

#[derive(Debug, Parser)]
#[command(
    version,
    about = "Load generators and side-by-side comparison with etcd"
)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start etcd and the subject, run the same workloads against both in turn, print a table
    Compare(Compare),
    /// Drive a server that is already running
    Run(Run),
    /// Start apiservers on their stores and measure them: requests, lists, watchers, memory
    Apiserver(Apiserver),
    /// Start a whole control plane on fake nodes and measure it: pods bound a second, replacements, CPU, memory
    Components(Components),
    /// Bring up a cluster of hosts with real containers and measure it: starts of pods, services, CPU, memory
    Stack(Stack),
}

#[derive(Debug, Args)]
struct Compare {
    /// About three minutes instead of twenty-five
    #[arg(long)]
    quick: bool,
    /// Only rows whose MEMBERS/NAME contains this; `*` stands for anything; may be a list
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    only: Vec<String>,
    /// Sizes of the clusters
    #[arg(long, value_delimiter = ',', default_value = "1,3",
          value_parser = clap::value_parser!(u8).range(1..=9))]
    members: Vec<u8>,
    /// Length of a window in seconds [default: 3, quick: 0.8]
    #[arg(long)]
    secs: Option<f64>,
    /// Runs per row and server [default: 3, quick: 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=99))]
    repeats: Option<u8>,
    /// Folder for results.jsonl and report.md [default: bench-results beside the build's folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder for the servers' data, removed afterwards [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// The server to measure [default: kvstore beside this program]
    #[arg(long, value_name = "PATH")]
    subject_bin: Option<PathBuf>,
    /// The etcd to compare with
    #[arg(long, value_name = "PATH", default_value = "etcd")]
    etcd_bin: PathBuf,
    /// Further argument of the subject; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    subject_arg: Vec<String>,
    /// Further argument of etcd; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    etcd_arg: Vec<String>,
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, Args)]
struct Run {
    /// Client URLs of all members (http only); may be a list
    #[arg(long, required = true, value_delimiter = ',', value_name = "URL")]
    endpoint: Vec<String>,
    /// Process id of a server, for CPU and memory; may be a list
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
    /// Length of the window in seconds
    #[arg(long, default_value_t = 5.0)]
    secs: f64,
    /// Connections of a unary workload [default: by its name]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    conns: Option<u16>,
    /// What to run: put-64, put-rate-5000, get-1, get-serializable-64, range-100, mixed-64,
    /// lease-grant-64, lease-keepalive-64, watch-1000@50, watch-10x10x1000@2, idle
    workload: String,
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, Args)]
struct Data {
    /// Distinct keys
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=9_999_999))]
    keys: u64,
    /// Bytes of a key
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(8..=64))]
    key_size: u8,
    /// Bytes of a value
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    value_size: u32,
    /// Connect to the leader only instead of all members in turn
    #[arg(long)]
    leader_only: bool,
}

impl Data {
    fn keys(&self) -> Keys {
        Keys {
            count: self.keys,
            key_len: usize::from(self.key_size),
            value_len: self.value_size as usize,
        }
    }
}

/// Runs the program.
///
/// # Errors
/// Whatever makes the run useless.
pub(crate) fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    interrupt::install()?;
    match cli.command {
        Verb::Compare(args) => run_compare(args),
        Verb::Run(args) => run_one(&args),
        Verb::Apiserver(args) => args.run(),
        Verb::Components(args) => args.run(),
        Verb::Stack(args) => args.run(),
    }
}

/// Whether there is such a program: at its path, or for a bare name in one of the usual folders.
fn found(binary: &Path) -> bool {
    if binary.components().count() > 1 {
        return binary.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(binary).is_file())
}

/// Seconds of a window from the command line.
fn seconds(secs: f64) -> Result<Duration> {
    ensure!(
        (0.1..=3600.0).contains(&secs),
        "--secs must lie between 0.1 and 3600"
    );
    Ok(Duration::from_secs_f64(secs))
}

fn run_compare(args: Compare) -> Result<ExitCode> {
    let program = std::env::current_exe().context("the program's own folder is unknown")?;
    let beside = program.parent().context("the program has no folder")?;
    let subject = args.subject_bin.unwrap_or_else(|| beside.join("kvstore"));
    for binary in [&args.etcd_bin, &subject] {
        ensure!(
            found(binary),
            "{} not found (see --subject-bin, --etcd-bin)",
            binary.display()
        );
    }
    let label = subject
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let recipe = |label: String, binary, extra_args| Recipe {
        label,
        binary,
        extra_args,
        work_dir: args.work_dir.clone(),
    };
    let plan = Plan {
        etcd: recipe("etcd".to_owned(), args.etcd_bin, args.etcd_arg),
        subject: recipe(label, subject, args.subject_arg),
        quick: args.quick,
        patterns: args.only,
        members: args.members.into_iter().map(usize::from).collect(),
        warm_up: Duration::from_millis(if args.quick { 200 } else { 500 }),
        window: seconds(args.secs.unwrap_or(if args.quick { 0.8 } else { 3.0 }))?,
        repeats: usize::from(args.repeats.unwrap_or(if args.quick { 1 } else { 3 })),
        keys: args.data.keys(),
        leader_only: args.data.leader_only,
        out: match args.out {
            Some(out) => out,
            None => beside.parent().unwrap_or(beside).join("bench-results"),
        },
    };
    let (markdown, errors) = compare::run(&plan)?;
    std::io::stdout().write_all(markdown.as_bytes())?;
    if errors > 0 {
        say(&format!(
            "{errors} errors at the subject; see the marked rows"
        ));
        return Ok(ExitCode::from(2));
    }
    Ok(ExitCode::SUCCESS)
}

fn run_one(args: &Run) -> Result<ExitCode> {
    let mut workload: Workload = args.workload.parse()?;
    if let (Some(n), Workload::Unary { conns, .. }) = (args.conns, &mut workload) {
        *conns = usize::from(n);
    }
    let addresses = args
        .endpoint
        .iter()
        .map(|url| resolve(url))
        .collect::<Result<_>>()?;
    let target = Target {
        addresses: load::leader_first(addresses, args.data.leader_only)?,
        gauge: Gauge::new(args.pid.clone()),
        keys: args.data.keys(),
        warm_up: Duration::from_millis(500),
        window: seconds(args.secs)?,
    };
    let reads = |call| matches!(call, Call::Get { .. } | Call::Range { .. } | Call::Mixed);
    if matches!(workload, Workload::Unary { call, .. } if reads(call)) {
        load::preload(&target)?;
    }
    let measurement = load::run(&workload, &target)?;
    let mut out = std::io::stdout();
    serde_json::to_writer_pretty(&mut out, &measurement)?;
    out.write_all(b"\n")?;
    let failed = measurement.errors.total > 0;
    Ok(if failed {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

/// The address of an endpoint such as `http://127.0.0.1:2379`.
fn resolve(url: &str) -> Result<SocketAddr> {
    if url.starts_with("https://") {
        bail!("{url}: only http is supported");
    }
    let authority = url
        .strip_prefix("http://")
        .unwrap_or(url)
        .trim_end_matches('/');
    let mut found = authority
        .to_socket_addrs()
        .with_context(|| format!("endpoint {url}"))?;
    found
        .next()
        .with_context(|| format!("endpoint {url} has no address"))
}
