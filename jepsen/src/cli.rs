//! The command line.

use crate::api::{ApiArgs, ApiMenuArgs};
use crate::nemesis::Nemesis;
use crate::plan::Plan;
use crate::subject::{Kind, Subject};
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use rand::Rng;
use std::path::PathBuf;
use std::time::Duration;

/// Fault tests on real server processes.
///
/// Exit codes: 0 valid, 1 a promise was broken, 2 not decided, 3 a demanded fault or operation did not happen,
/// 4 the harness failed, or was asked for something that is not possible; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "mainstay-jepsen", version, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One run of one workload under some nemeses.
    Run(RunArgs),
    /// Many runs, every nemesis with several workloads and cluster sizes, and a table at the end.
    Menu(MenuArgs),
    /// A few short runs, for `make test`.
    Short(ShortArgs),
    /// One run of apiservers on a store, under clients and informers of the Kubernetes API.
    Apiserver(ApiArgs),
    /// Runs of apiservers under every nemesis of theirs.
    Apiservers(ApiMenuArgs),
    /// Judges the history in a run's folder again.
    Check {
        /// The folder of a run, as printed when it ended.
        dir: PathBuf,
    },
    /// All workloads and nemeses.
    List,
    /// How long no write succeeds after the leader was killed.
    Gap {
        /// How many leaders to kill.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        kills: u64,
        #[command(flatten)]
        subject: SubjectArgs,
    },
    /// Runs under kills of a random member, the leader and all members, until there were so many.
    Kills {
        /// How many kills.
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        rounds: u64,
        #[command(flatten)]
        subject: SubjectArgs,
    },
    /// Runs under power cuts of one and of all members, until there were so many; a quarter of all members.
    Powercuts {
        /// How many power cuts.
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        rounds: u64,
        #[command(flatten)]
        subject: SubjectArgs,
    },
}

/// Which server, and where results go.
#[derive(Clone, Debug, Args)]
pub struct SubjectArgs {
    /// The server.
    #[arg(long, value_enum, default_value_t = Kind::Kvstore)]
    pub subject: Kind,
    /// Its binary, if not the one beside this program, in MAINSTAY_TEST_SERVER, or /usr/bin/etcd.
    #[arg(long, value_name = "PATH")]
    pub subject_bin: Option<PathBuf>,
    /// Environment of the server's processes; may be repeated.
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// One more flag for the server's processes; may be repeated.
    #[arg(long = "flag", value_name = "--FLAG=VALUE", allow_hyphen_values = true)]
    pub flags: Vec<String>,
    /// Folder for reports.
    #[arg(long, value_name = "DIR", default_value = "run/jepsen")]
    pub out: PathBuf,
    /// No network namespaces, even where they are possible.
    #[arg(long)]
    pub loopback: bool,
}

/// A run.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// What the clients do.
    #[arg(long, short, value_enum)]
    pub workload: Workload,
    /// What goes wrong; several names act at the same time.
    #[arg(long, short, value_enum, value_delimiter = ',', default_value = "none")]
    pub nemesis: Vec<Nemesis>,
    /// Members of the cluster: 1, 3 or 5.
    #[arg(long, short, default_value_t = 3)]
    pub members: usize,
    /// Seconds in which things go wrong, 3 to 21600.
    #[arg(long, short, default_value_t = 20)]
    pub time: u64,
    /// Operations per second of all clients together; 0 is as fast as they can.
    #[arg(long, short, default_value_t = 400)]
    pub rate: u32,
    /// Clients of each member, 1 to 64.
    #[arg(long, default_value_t = 3)]
    pub clients: usize,
    /// Milliseconds after which the outcome of a call is unknown, 200 to 30000.
    #[arg(long, default_value_t = 2_000)]
    pub deadline: u64,
    /// Decides operations and faults; a random one if not given.
    #[arg(long, short)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub subject: SubjectArgs,
}

/// The menu.
#[derive(Clone, Debug, Args)]
pub struct MenuArgs {
    /// Only runs whose name contains this; several with commas.
    #[arg(long, value_delimiter = ',')]
    pub filter: Vec<String>,
    /// Seconds of faults in each run.
    #[arg(long, short, default_value_t = 20)]
    pub time: u64,
    /// Operations per second in each run.
    #[arg(long, short, default_value_t = 600)]
    pub rate: u32,
    /// Decides everything; a random one if not given.
    #[arg(long, short)]
    pub seed: Option<u64>,
    /// Names of the runs only.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub subject: SubjectArgs,
}

/// The short selection.
#[derive(Clone, Debug, Args)]
pub struct ShortArgs {
    /// Decides everything; a random one if not given.
    #[arg(long, short)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub subject: SubjectArgs,
}

impl SubjectArgs {
    /// The server they name.
    pub fn subject(&self) -> Result<Subject> {
        let mut subject = Subject::find(self.subject, self.subject_bin.as_deref())?;
        for pair in &self.env {
            let (name, value) = pair
                .split_once('=')
                .with_context(|| format!("--env {pair}: it must be NAME=VALUE"))?;
            if name.is_empty() {
                bail!("--env {pair}: the name is missing");
            }
            subject.env.push((name.to_owned(), value.to_owned()));
        }
        subject.flags.clone_from(&self.flags);
        Ok(subject)
    }
}

impl RunArgs {
    /// The plan they make.
    pub fn plan(&self) -> Result<Plan> {
        let plan = Plan {
            workload: self.workload,
            nemeses: self.nemesis.clone(),
            members: self.members,
            time: Duration::from_secs(self.time),
            rate: self.rate,
            clients_per_member: self.clients,
            deadline: Duration::from_millis(self.deadline),
            seed: self.seed.unwrap_or_else(random_seed),
            subject: self.subject.subject()?,
            named_binary: self.subject.subject_bin.is_some(),
            loopback: self.subject.loopback,
            out: self.subject.out.clone(),
        };
        plan.check()?;
        Ok(plan)
    }
}

/// A seed that is easily typed.
pub fn random_seed() -> u64 {
    rand::rng().random_range(1..1_000_000)
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_names_are_answered_with_the_right_ones() {
        let error = Cli::try_parse_from(["mainstay-jepsen", "run", "-w", "registr"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("register"), "{error}");
        let error = Cli::try_parse_from(["mainstay-jepsen", "kills", "--rounds", "0"]).unwrap_err();
        assert!(error.to_string().contains("--rounds"), "{error}");
        let error =
            Cli::try_parse_from(["mainstay-jepsen", "run", "-w", "set", "-n", "earthquake"])
                .unwrap_err();
        assert!(error.to_string().contains("partition-halves"), "{error}");
    }

    #[test]
    fn impossible_plans_are_refused_before_anything_starts() {
        for (arguments, part) in [
            (["--members", "4"], "1, 3 or 5"),
            (["--members", "1"], "at least 3 members"),
            (["--time", "1"], "--time"),
            (["--deadline", "1"], "--deadline"),
        ] {
            let line = [
                "mainstay-jepsen",
                "run",
                "-w",
                "set",
                "-n",
                "partition-halves",
                "--subject-bin",
                "/bin/true",
            ];
            let cli = Cli::try_parse_from(line.iter().chain(&arguments)).unwrap();
            let Command::Run(run) = cli.command else {
                panic!("a run")
            };
            let error = run.plan().unwrap_err().to_string();
            // Without a server the binary is what is wrong; the rest is checked after it.
            assert!(
                error.contains(part) || error.contains("--version"),
                "{error}"
            );
        }
    }
}
