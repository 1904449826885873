//! The rows.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::task::LocalSet;

use super::cluster::Cluster;
use super::pods::Watcher;
use super::processes::groups;
use super::report::{self, Share, Times};
use super::services::{After, Town};
use crate::compare::say;
use crate::interrupt::rest;
use crate::latency::Latency;
use crate::machine::{self, Machine};

/// What is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    /// Folder of the cluster, which must be empty.
    pub(crate) root: PathBuf,
    pub(crate) masters: u8,
    pub(crate) workers: u8,
    /// Pods one at a time.
    pub(crate) single: u64,
    /// Pods at once.
    pub(crate) burst: u64,
    /// Numbers of services, rising.
    pub(crate) services: Vec<u64>,
    /// Endpoints that are added at each of them.
    pub(crate) samples: u64,
    /// How long is looked at a cluster with nothing to do.
    pub(crate) idle: Duration,
    pub(crate) out: PathBuf,
}

/// Time for what a start stirs up.
const REST: Duration = Duration::from_secs(20);

/// Runs the plan and returns the report, which is also written to the plan's folder.
///
/// # Errors
/// If something could not be measured. The cluster is gone in any case.
pub(crate) fn run(plan: &Plan) -> Result<String> {
    fs::create_dir_all(&plan.out).context("cannot make the folder for results")?;
    let machine = Machine::look(&std::env::temp_dir());
    let cluster = Cluster::new(&plan.program, &plan.root, plan.masters, plan.workers)?;
    let mut times = ups(&cluster)?;
    rest(REST)?;
    let shares = idle(&cluster, plan.idle)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, work(plan, &cluster, &mut times))?;
    let mut json = fs::File::create(plan.out.join("stack.jsonl"))?;
    let lines = times.iter().map(|one| json!(one));
    for line in lines.chain(shares.iter().map(|one| json!(one))) {
        writeln!(json, "{line}")?;
    }
    let markdown = format!(
        "## A cluster of {} masters and {} workers with containers, all on this machine\n\n{}\
         - load average after the run {}\n- {}\n{}",
        plan.masters,
        plan.workers,
        machine.markdown(),
        machine::load_average(),
        machine::version(&plan.program),
        report::tables(&times, &shares),
    );
    fs::write(plan.out.join("stack.md"), &markdown)?;
    Ok(markdown)
}

/// From nothing, and with data.
fn ups(cluster: &Cluster) -> Result<Vec<Times>> {
    let mut all = Vec::new();
    for what in ["`up` from nothing", "`up` after `down`"] {
        let mut latency = Latency::new();
        let took = cluster.up()?.as_nanos();
        latency.record(u64::try_from(took).unwrap_or(u64::MAX));
        all.push(Times::of(&format!("{what} → all nodes Ready"), &latency));
        if all.len() == 1 {
            cluster.down()?;
        }
    }
    for one in &all {
        say(&one.line());
    }
    Ok(all)
}

/// What processes use, by kinds of hosts.
fn idle(cluster: &Cluster, window: Duration) -> Result<Vec<Share>> {
    let hosts = cluster.hosts()?;
    let groups = groups(&hosts);
    let before: Vec<_> = groups.iter().map(|group| group.gauge.read()).collect();
    rest(window)?;
    let mut sums: BTreeMap<(&'static str, String), [f64; 3]> = BTreeMap::new();
    for (group, before) in groups.iter().zip(&before) {
        let used = group.gauge.read().since(before);
        let figures = [
            group.gauge.count() as f64,
            group.gauge.rss() as f64 / f64::from(1 << 20),
            used.server_cpu_ns as f64 / 1e6 / used.seconds.max(1e-9),
        ];
        let kind = if group.is_master { "master" } else { "worker" };
        for name in [group.name.clone(), "in total".to_owned()] {
            let sum = sums.entry((kind, name)).or_default();
            for (sum, figure) in sum.iter_mut().zip(figures) {
                *sum += figure;
            }
        }
    }
    let shares = sums.into_iter().map(|((kind, process), sum)| {
        let same = hosts
            .iter()
            .filter(|host| host.is_master == (kind == "master"));
        let [count, rss_mib, cpu_ms] = sum.map(|sum| sum / same.clone().count().max(1) as f64);
        Share {
            hosts: kind,
            process,
            count,
            rss_mib,
            cpu_ms,
        }
    });
    Ok(shares.collect())
}

async fn work(plan: &Plan, cluster: &Cluster, times: &mut Vec<Times>) -> Result<()> {
    let client = cluster.client().await?;
    let told = |times: &mut Vec<Times>, more: Vec<Times>| {
        for one in &more {
            say(&one.line());
        }
        times.extend(more);
    };
    let watcher = Watcher::start(&client).await?;
    told(times, watcher.one_by_one(plan.single).await?);
    drop(watcher);
    let watcher = Watcher::start(&client).await?;
    told(times, watcher.at_once(&client, plan.burst).await?);
    drop(watcher);
    let mut town = Town::build(&client, &cluster.hosts()?).await?;
    for &count in &plan.services {
        town.grow(count).await?;
        for after in [After::Quiet, After::Change] {
            told(times, vec![town.measure(plan.samples, after).await?]);
        }
    }
    Ok(())
}
