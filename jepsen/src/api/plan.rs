//! What one run is to be.

use super::nemesis::ApiNemesis;
use crate::cli::{SubjectArgs, random_seed};
use crate::limits::{API_SERVERS, NEMESES_MAX};
use crate::nemesis::Nemesis;
use crate::plan::Plan;
use crate::subject::beside_the_harness;
use crate::workload::Workload;
use anyhow::{Result, bail};
use clap::Args;
use mainstay_tests::apiserver::APISERVER_VARIABLE;
use std::path::PathBuf;
use std::time::Duration;

/// A run of apiservers.
#[derive(Clone, Debug, Args)]
pub struct ApiArgs {
    /// What goes wrong; several names act at the same time.
    #[arg(long, short, value_enum, value_delimiter = ',', default_value = "kill")]
    pub nemesis: Vec<ApiNemesis>,
    /// Apiservers side by side, 1 to 5.
    #[arg(long, default_value_t = 2)]
    pub servers: usize,
    /// Members of the store: 1, 3 or 5.
    #[arg(long, short, default_value_t = 3)]
    pub members: usize,
    /// Seconds in which things go wrong, 3 to 21600.
    #[arg(long, short, default_value_t = 60)]
    pub time: u64,
    /// Operations per second of all clients together; 0 is as fast as they can.
    #[arg(long, short, default_value_t = 150)]
    pub rate: u32,
    /// Milliseconds after which the outcome of a request is unknown, 200 to 30000.
    #[arg(long, default_value_t = 5_000)]
    pub deadline: u64,
    /// Decides operations and faults; a random one if not given.
    #[arg(long, short)]
    pub seed: Option<u64>,
    /// The apiserver's binary, if not the one beside this program or in MAINSTAY_TEST_APISERVER.
    #[arg(long, value_name = "PATH")]
    pub apiserver_bin: Option<PathBuf>,
    /// Environment of the apiservers; may be repeated.
    #[arg(long = "apiserver-env", value_name = "NAME=VALUE")]
    pub apiserver_env: Vec<String>,
    #[command(flatten)]
    pub subject: SubjectArgs,
}

/// One run of apiservers.
#[derive(Clone, Debug)]
pub struct ApiPlan {
    /// The store below them; its nemeses only say what disks it needs.
    pub store: Plan,
    /// What goes wrong, all at the same time.
    pub nemeses: Vec<ApiNemesis>,
    /// How many apiservers.
    pub servers: usize,
    /// Their binary.
    pub binary: PathBuf,
    /// Whether it was named on the command line.
    pub named_binary: bool,
    /// Their environment.
    pub env: Vec<(String, String)>,
}

impl ApiArgs {
    /// The plan they make.
    pub fn plan(&self) -> Result<ApiPlan> {
        let binary = match (&self.apiserver_bin, std::env::var_os(APISERVER_VARIABLE)) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => path.into(),
            (None, None) => beside_the_harness("apiserver")?,
        };
        if !binary.is_file() {
            bail!(
                "no apiserver at {}: build it with `cargo build --release -p apiserver`, or name one with --apiserver-bin",
                binary.display()
            );
        }
        let disks = match self.nemesis.contains(&ApiNemesis::Power) {
            true => Nemesis::PowerAll,
            false => Nemesis::None,
        };
        let store = Plan {
            workload: Workload::Kubernetes,
            nemeses: vec![disks],
            members: self.members,
            time: Duration::from_secs(self.time),
            rate: self.rate,
            clients_per_member: 1,
            deadline: Duration::from_millis(self.deadline),
            seed: self.seed.unwrap_or_else(random_seed),
            subject: self.subject.subject()?,
            named_binary: self.subject.subject_bin.is_some(),
            loopback: self.subject.loopback,
            out: self.subject.out.clone(),
        };
        let mut env = Vec::new();
        for pair in &self.apiserver_env {
            let Some((name, value)) = pair.split_once('=') else {
                bail!("--apiserver-env {pair}: it must be NAME=VALUE");
            };
            env.push((name.to_owned(), value.to_owned()));
        }
        let plan = ApiPlan {
            store,
            nemeses: self.nemesis.clone(),
            servers: self.servers,
            binary,
            named_binary: self.apiserver_bin.is_some(),
            env,
        };
        plan.check()?;
        Ok(plan)
    }
}

impl ApiPlan {
    /// Says what makes no sense.
    pub fn check(&self) -> Result<()> {
        self.store.check()?;
        if !API_SERVERS.contains(&self.servers) {
            let (least, most) = (API_SERVERS.start(), API_SERVERS.end());
            bail!("--servers {}: {least} to {most}", self.servers);
        }
        if self.nemeses.is_empty() || self.nemeses.len() > NEMESES_MAX {
            bail!("1 to {NEMESES_MAX} nemeses, or `none`");
        }
        let mut names: Vec<&ApiNemesis> = self.nemeses.iter().collect();
        names.sort();
        names.dedup();
        if names.len() < self.nemeses.len() {
            bail!("a nemesis is named twice");
        }
        if self.nemeses.contains(&ApiNemesis::None) && self.nemeses.len() > 1 {
            bail!("--nemesis none goes with no other");
        }
        Ok(())
    }

    /// The nemeses, as they are given on the command line.
    pub fn nemesis_names(&self) -> String {
        let names: Vec<&str> = self.nemeses.iter().map(|nemesis| nemesis.name()).collect();
        names.join(",")
    }

    /// A name for folders, without the moment.
    pub fn name(&self) -> String {
        let nemeses = self.nemesis_names().replace(',', "+");
        let (kind, members, seed) = (self.store.subject.kind, self.store.members, self.store.seed);
        format!(
            "apiserver-on-{kind}-{nemeses}-{}s-{members}m-{seed}",
            self.servers
        )
    }

    /// The command that makes this run again.
    pub fn command(&self) -> String {
        let store = &self.store;
        let mut command = format!(
            "mainstay-jepsen apiserver --nemesis {} --servers {} --members {} --time {} --rate {} --deadline {} --seed {} --subject {}",
            self.nemesis_names(),
            self.servers,
            store.members,
            store.time.as_secs(),
            store.rate,
            store.deadline.as_millis(),
            store.seed,
            store.subject.kind,
        );
        if store.named_binary {
            command.push_str(&format!(" --subject-bin {}", store.subject.path.display()));
        }
        if self.named_binary {
            command.push_str(&format!(" --apiserver-bin {}", self.binary.display()));
        }
        for (name, value) in &self.env {
            command.push_str(&format!(" --apiserver-env {name}={value}"));
        }
        if store.loopback {
            command.push_str(" --loopback");
        }
        command
    }
}
