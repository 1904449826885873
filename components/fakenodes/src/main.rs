//! `fake-nodes`: nodes that are not there, for trying out clusters larger than one has machines for.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};
use fakenodes::{Options, Pair, name_prefix, nodes, quantity, run_until, share};
use mainstay_client::process::{Component, Flags, Running, duration, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nodes that are not there: no container runs anywhere.
///
/// They register at an apiserver, renew their leases and tell of the pods that are bound to them what a kubelet would
/// tell if it ran them: started, ready, at their end, deleted. At the end of this program they stay, as nodes whose
/// machine was switched off do.
#[derive(Debug, Parser)]
#[command(name = "fake-nodes", version, after_help = ANNOTATIONS)]
struct Own {
    #[command(flatten)]
    nodes: Nodes,
    #[command(flatten)]
    lives: Lives,
    #[command(flatten)]
    flags: Flags,
}

const ANNOTATIONS: &str = "\
Annotations of a pod count instead of what is said here; durations are such as 500ms, 2s or 1m 30s, or 'never':
  fake.mainstay.io/start-after  from being bound to running
  fake.mainstay.io/ready-after  from running to ready
  fake.mainstay.io/ends-after   from running to the end of its containers
  fake.mainstay.io/exit-code    of its containers when they end
Of a node whose annotation fake.mainstay.io/silent is 'true' nothing is heard: neither lease nor status.";

#[derive(Args, Debug)]
#[command(next_help_heading = "Nodes")]
struct Nodes {
    /// How many there are.
    #[arg(long, value_name = "N", value_parser = nodes, default_value = "3")]
    nodes: usize,
    /// What their names begin with; a number follows. Programs side by side need different ones.
    #[arg(long, value_name = "TEXT", value_parser = name_prefix, default_value = "fake-")]
    name_prefix: String,
    /// Zones that they are spread over, named zone-0 and on; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    zones: usize,
    /// CPUs of each.
    #[arg(long, value_name = "QUANTITY", value_parser = quantity, default_value = "32")]
    cpu: String,
    /// Memory of each.
    #[arg(long, value_name = "QUANTITY", value_parser = quantity, default_value = "256Gi")]
    memory: String,
    /// Pods that each has room for.
    #[arg(long, value_name = "N", default_value_t = 110)]
    pods: u32,
    /// Other resources of each, as example.com/gpu=8.
    #[arg(long, value_name = "NAME=QUANTITY", value_delimiter = ',')]
    resources: Vec<Pair>,
    /// Labels of each, beside those that kubelets give.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    node_labels: Vec<Pair>,
    /// Take the taint node.kubernetes.io/not-ready away from them, where no node lifecycle controller does.
    #[arg(long)]
    untaint: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Lives of pods")]
struct Lives {
    /// From being bound to running.
    #[arg(long, value_parser = duration, default_value = "200ms")]
    start_after: Duration,
    /// From running to ready.
    #[arg(long, value_parser = duration, default_value = "0")]
    ready_after: Duration,
    /// From running to the end, for pods that are not always started again, such as those of jobs.
    #[arg(long, value_parser = duration, default_value = "1s")]
    ends_after: Duration,
    /// Share of those that fail, from 0 to 1.
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "0")]
    failure_rate: f64,
    /// From the request to delete to the end, if the grace period is not shorter.
    #[arg(long, value_parser = duration, default_value = "200ms")]
    stops_after: Duration,
}

impl Own {
    /// As the flags of all components, but for the election: those who want it say so.
    fn read() -> Self {
        let command = Self::command().mut_arg("leader_elect", |flag| flag.default_value("false"));
        let matches = command.get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    fn options(&self) -> Result<Options, String> {
        let (nodes, lives) = (&self.nodes, &self.lives);
        let mut options = Options {
            nodes: nodes.nodes,
            prefix: nodes.name_prefix.clone(),
            zones: nodes.zones,
            cpu: nodes.cpu.clone(),
            memory: nodes.memory.clone(),
            pods: nodes.pods,
            untaint: nodes.untaint,
            start_after: lives.start_after,
            ready_after: lives.ready_after,
            ends_after: lives.ends_after,
            failure_rate: lives.failure_rate,
            stops_after: lives.stops_after,
            ..Options::default()
        };
        for Pair { name, value } in &nodes.resources {
            if !name.contains('/') {
                return Err(format!(
                    "--resources: {name:?} has no domain, as in example.com/gpu"
                ));
            }
            let value = quantity(value).map_err(|why| format!("--resources: {why}"))?;
            options.resources.insert(name.clone(), value);
        }
        for Pair { name, value } in &nodes.node_labels {
            options.labels.insert(name.clone(), value.clone());
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let own = Own::read();
    let options = own.options().unwrap_or_else(|why| {
        Own::command()
            .error(clap::error::ErrorKind::InvalidValue, why)
            .exit()
    });
    let component = Component {
        name: "fake-nodes",
        port: 10270,
        config: serde_json::json!({"fake-nodes": {
            "Nodes": options.nodes,
            "NamePrefix": options.prefix,
            "Zones": options.zones,
        }}),
    };
    run(component, &own.flags, move |running: Running| async move {
        let client = match running.access.fenced() {
            Ok(client) => client,
            Err(error) => return tracing::error!("{error}"),
        };
        tracing::info!(
            nodes = options.nodes,
            "nodes that are not there: no container runs"
        );
        let ended = run_until(client, options, &running.metrics, running.stop.announced());
        if let Err(error) = ended.await {
            tracing::error!("{error}");
        }
    })
}
