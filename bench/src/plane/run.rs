//! The rows, one control plane for each number of nodes.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::load::{Bound, CREATORS, Load};
use super::processes::{Processes, Programs};
use super::report::{self, Row, Share};
use crate::api::TOKEN;
use crate::api::fleet::call_once;
use crate::api::http::Content;
use crate::compare::say;
use crate::interrupt::{self, rest};
use crate::latency::Latency;
use crate::limits::{NODES_TIMEOUT, POLL_MAX};
use crate::machine::{self, Machine};
use crate::measurement::{Errors, Measurement};
use crate::usage::{Gauge, Reading};

/// What is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) programs: Programs,
    pub(crate) nodes: Vec<u64>,
    /// Pods of a burst.
    pub(crate) pods: u64,
    /// Pods that die and are replaced.
    pub(crate) deaths: u64,
    /// How long is looked at a plane with nothing to do.
    pub(crate) idle: Duration,
    pub(crate) out: PathBuf,
}

/// Pods a second of the row that measures how long one pod waits.
const PACE: u64 = 50;
/// Seconds of that row.
const PACED_SECONDS: u64 = 10;
/// Pods of the deployment of which some die.
const REPLICAS: u64 = 100;
/// Time for what a start stirs up.
const REST: Duration = Duration::from_secs(5);

/// Runs the plan and returns the report, which is also written to the plan's folder.
///
/// # Errors
/// If a row could not be completed: what was measured before is in the folder.
pub(crate) fn run(plan: &Plan) -> Result<String> {
    fs::create_dir_all(&plan.out).context("cannot make the folder for results")?;
    let stack = &plan.programs.stack;
    let machine = Machine::look(&stack.work_dir.clone().unwrap_or_else(std::env::temp_dir));
    let mut json = fs::File::create(plan.out.join("components.jsonl"))?;
    let mut rows = Vec::new();
    for &nodes in &plan.nodes {
        let mut plane = Plane::start(plan, nodes)?;
        for work in [Work::Idle, Work::Burst, Work::Paced, Work::Deaths] {
            let row = plane.measure(work)?;
            serde_json::to_writer(&json, &row)?;
            json.write_all(b"\n")?;
            say(&row.line());
            rows.push(row);
        }
    }
    let markdown = format!(
        "## The control plane under load\n\n{}- load average after the run {}\n- {} on {}\n{}",
        machine.markdown(),
        machine::load_average(),
        machine::version(&stack.apiserver),
        machine::version(&stack.store),
        report::table(&rows),
    );
    fs::write(plan.out.join("components.md"), &markdown)?;
    Ok(markdown)
}

#[derive(Clone, Copy)]
enum Work {
    Idle,
    Burst,
    Paced,
    Deaths,
}

struct Plane<'a> {
    plan: &'a Plan,
    nodes: u64,
    processes: Processes,
}

impl<'a> Plane<'a> {
    fn start(plan: &'a Plan, nodes: u64) -> Result<Self> {
        let begun = Instant::now();
        let mut processes = Processes::start(&plan.programs, nodes)?;
        wait_for_nodes(&mut processes, nodes)?;
        // Once one pod is bound, everybody does what it is to do.
        Load::new(&processes.stack, 1)?.create("first", 1, None)?;
        say(&format!("{nodes} nodes after {:.1?}", begun.elapsed()));
        rest(REST)?;
        Ok(Self {
            plan,
            nodes,
            processes,
        })
    }

    fn measure(&mut self, work: Work) -> Result<Row> {
        let gauges = self.processes.gauges();
        let before: Vec<Reading> = gauges.iter().map(|(_, gauge)| gauge.read()).collect();
        let done = self.work(work);
        if let Some(dead) = self.processes.dead() {
            bail!(dead);
        }
        let bound = done?;
        let shares = shares(&gauges, &before, bound.pods);
        let all = Gauge::of(gauges.iter().map(|(_, gauge)| gauge));
        let mut used = gauges[0].1.read().since(&before[0]);
        for ((_, gauge), before) in gauges.iter().zip(&before).skip(1) {
            let more = gauge.read().since(before);
            used.server_cpu_ns += more.server_cpu_ns;
            used.server_wait_ns += more.server_wait_ns;
        }
        let name = match work {
            Work::Idle => "idle".to_owned(),
            Work::Burst => format!("burst-{}", self.plan.pods),
            Work::Paced => format!("paced-{PACE}/s"),
            Work::Deaths => format!("deaths-{}", self.plan.deaths),
        };
        let figures = Measurement::new(bound.pods, &bound.latency, &used, &all, bound.errors);
        Ok(Row {
            name,
            nodes: self.nodes,
            figures,
            shares,
        })
    }

    fn work(&self, work: Work) -> Result<Bound> {
        let stack = &self.processes.stack;
        match work {
            Work::Idle => {
                rest(self.plan.idle)?;
                Ok(Bound {
                    pods: self.plan.idle.as_secs().max(1),
                    latency: Latency::new(),
                    errors: Errors::default(),
                })
            }
            Work::Burst => Load::new(stack, CREATORS)?.create("burst", self.plan.pods, None),
            Work::Paced => {
                let pods = PACE * PACED_SECONDS;
                Load::new(stack, CREATORS)?.create("paced", pods, Some(PACE))
            }
            Work::Deaths => Load::new(stack, 1)?.replace(stack, REPLICAS, self.plan.deaths),
        }
    }
}

fn shares(gauges: &[(&'static str, Gauge)], before: &[Reading], pods: u64) -> Vec<Share> {
    let each = gauges.iter().zip(before);
    let each = each.map(|((process, gauge), before)| {
        let used = gauge.read().since(before);
        Share {
            process,
            us_per_pod: used.server_cpu_ns as f64 / 1e3 / pods.max(1) as f64,
            cores: used.server_cpu_ns as f64 / 1e9 / used.seconds.max(1e-9),
            rss_bytes: gauge.rss(),
        }
    });
    each.collect()
}

/// Until all are registered.
fn wait_for_nodes(processes: &mut Processes, nodes: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let address = processes.stack.addresses()[0];
        let path = "/api/v1/nodes?limit=1";
        let (status, list) = call_once(address, TOKEN, "GET", path, Content::NONE)?;
        ensure!(status == 200, "a list of nodes answers {status}");
        let list: serde_json::Value = serde_json::from_slice(&list)?;
        let items = list["items"].as_array().map_or(0, Vec::len) as u64;
        let rest = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
        if items + rest >= nodes {
            return Ok(());
        }
        if let Some(dead) = processes.dead() {
            bail!(dead);
        }
        ensure!(
            begun.elapsed() < NODES_TIMEOUT,
            "{} of {nodes} nodes after {NODES_TIMEOUT:?}",
            items + rest
        );
        interrupt::rest(POLL_MAX)?;
    }
}
