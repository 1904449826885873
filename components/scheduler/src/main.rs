//! `scheduler`: what kube-scheduler is to Kubernetes.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser};
use kube::Client;
use mainstay_client::process::{Component, Flags, Running, duration, run};
use mainstay_client::{AccessError, Events, Informers};
use scheduler::{Config, Options, schedule};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Finds nodes for pods.
#[derive(Debug, Parser)]
#[command(name = "scheduler", version)]
struct Own {
    #[command(flatten)]
    flags: Flags,
    /// A KubeSchedulerConfiguration; what it sets counts instead of flags.
    #[arg(long)]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut own = Own::parse();
    let options = match configured(&mut own) {
        Ok(options) => options,
        Err(why) => Own::command()
            .error(
                clap::error::ErrorKind::InvalidValue,
                format!("--config: {why}"),
            )
            .exit(),
    };
    let flags = own.flags;
    let component = Component {
        name: "kube-scheduler",
        port: 10259,
        config: serde_json::json!({"kubescheduler.config.k8s.io": {
            "LeaderElection": {
                "LeaderElect": flags.leader_elect,
                "LeaseDuration": format!("{:?}", flags.leader_elect_lease_duration),
                "RenewDeadline": format!("{:?}", flags.leader_elect_renew_deadline),
                "RetryPeriod": format!("{:?}", flags.leader_elect_retry_period),
            },
            "Profiles": [{"SchedulerName": options.scheduler_name}],
        }}),
    };
    run(component, &flags, move |running: Running| async move {
        let clients = clients(&running);
        match clients {
            Ok((reads, writes)) => {
                let informers = Informers::new(reads);
                running.health.add("informer-sync", informers.check());
                let events = Events::start(writes.clone(), &options.scheduler_name);
                let work = schedule(writes, &informers, events, &running.metrics, options);
                tokio::select! {
                    () = work => {}
                    () = running.stop.announced() => {}
                }
            }
            Err(error) => tracing::error!("{error}"),
        }
    })
}

/// One to read with, and one to write with while this instance is the leader.
fn clients(running: &Running) -> Result<(Client, Client), AccessError> {
    Ok((running.access.own()?, running.access.fenced()?))
}

/// Takes over what the file of `--config` says.
fn configured(own: &mut Own) -> Result<Options, String> {
    let mut options = Options::default();
    let Some(path) = &own.config else {
        return Ok(options);
    };
    let config = Config::read(path).map_err(|error| error.to_string())?;
    let flags = &mut own.flags;
    if let Some(kubeconfig) = config.client_connection.kubeconfig.clone() {
        flags.kubeconfig = Some(kubeconfig);
    }
    let election = &config.leader_election;
    if let Some(elect) = election.leader_elect {
        flags.leader_elect = elect;
    }
    for (text, flag) in [
        (
            &election.lease_duration,
            &mut flags.leader_elect_lease_duration,
        ),
        (
            &election.renew_deadline,
            &mut flags.leader_elect_renew_deadline,
        ),
        (&election.retry_period, &mut flags.leader_elect_retry_period),
    ] {
        if let Some(text) = text {
            *flag = duration(text)?;
        }
    }
    if let Some(name) = election.resource_name.clone() {
        flags.leader_elect_resource_name = Some(name);
    }
    if let Some(namespace) = election.resource_namespace.clone() {
        flags.leader_elect_resource_namespace = namespace;
    }
    if let Some(name) = config.scheduler_name() {
        options.scheduler_name = name.to_owned();
    }
    Ok(options)
}
