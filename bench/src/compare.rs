//! The side-by-side comparison: the same rows against etcd and the subject, in turn, on the same disk.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::catalog::{self, Row};
use crate::cluster::{Cluster, Recipe};
use crate::interrupt::{self, Interrupted};
use crate::limits::START_FAILURES_MAX;
use crate::load::{self, Keys, Target};
use crate::machine::{self, Machine};
use crate::measurement::Measurement;
use crate::report::{self, RowResult};

/// What is compared and how long.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) etcd: Recipe,
    pub(crate) subject: Recipe,
    pub(crate) quick: bool,
    pub(crate) patterns: Vec<String>,
    pub(crate) members: Vec<usize>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) repeats: usize,
    pub(crate) keys: Keys,
    pub(crate) leader_only: bool,
    pub(crate) out: PathBuf,
}

/// One line of `results.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    row: &'a str,
    members: usize,
    server: &'a str,
    repeat: usize,
    #[serde(flatten)]
    measurement: &'a Measurement,
}

/// Servers that several rows share; each is started when its side first needs it.
type Pair = [Option<Cluster>; 2];

struct Comparison<'a> {
    plan: &'a Plan,
    json: File,
    shared: Pair,
    start_failures: usize,
    done: usize,
    total: usize,
    begun: Instant,
}

/// Runs the plan and returns the markdown report, which is also written to the plan's folder.
///
/// # Errors
/// If a server cannot be started, files cannot be written, or the program is interrupted. A failed
/// row is part of the report instead. The second value counts
/// the subject's errors.
pub(crate) fn run(plan: &Plan) -> Result<(String, u64)> {
    fs::create_dir_all(&plan.out).context("cannot make the folder for results")?;
    let data = plan
        .subject
        .work_dir
        .clone()
        .unwrap_or_else(std::env::temp_dir);
    let machine = Machine::look(&data);
    let rows: Vec<(usize, Row)> = plan
        .members
        .iter()
        .flat_map(|&m| {
            catalog::rows(plan.quick, m, &plan.patterns)
                .into_iter()
                .map(move |r| (m, r))
        })
        .collect();
    anyhow::ensure!(!rows.is_empty(), "no row matches");
    let mut comparison = Comparison {
        plan,
        json: File::create(plan.out.join("results.jsonl"))?,
        shared: [None, None],
        start_failures: 0,
        done: 0,
        total: rows.len() * 2 * plan.repeats,
        begun: Instant::now(),
    };
    serde_json::to_writer(
        &comparison.json,
        &serde_json::json!({ "machine": &machine }),
    )?;
    comparison.json.write_all(b"\n")?;
    let mut results = Vec::new();
    let mut members_now = 0;
    let mut failure = None;
    for (members, row) in rows {
        if members != members_now || row.workload.wants_fresh_server() {
            comparison.shared = [None, None];
            members_now = members;
        }
        match comparison.row(members, row) {
            Ok(result) => {
                say(&result.line());
                results.push(result);
            }
            // What was measured before is worth keeping.
            Err(e) => {
                failure = Some(e);
                break;
            }
        }
    }
    let minutes = comparison.begun.elapsed().as_secs_f64() / 60.0;
    drop(comparison);
    let errors = results.iter().map(RowResult::subject_errors).sum();
    let markdown = markdown(plan, &machine, minutes, &results);
    fs::write(plan.out.join("report.md"), &markdown)?;
    match failure {
        Some(e) => {
            say(&format!(
                "ended early; {} rows are in the report",
                results.len()
            ));
            Err(e)
        }
        None => Ok((markdown, errors)),
    }
}

impl Comparison<'_> {
    fn row(&mut self, members: usize, row: Row) -> Result<RowResult> {
        let mut result = RowResult {
            members,
            row,
            sides: [Vec::new(), Vec::new()],
        };
        for repeat in 0..self.plan.repeats {
            for side in 0..2 {
                self.progress(members, &result.row.name, side, repeat);
                let measurement = self.measure(members, &result.row, side)?;
                let server = ["etcd", "subject"][side];
                let line = Line {
                    row: &result.row.name,
                    members,
                    server,
                    repeat,
                    measurement: &measurement,
                };
                serde_json::to_writer(&self.json, &line)?;
                self.json.write_all(b"\n")?;
                result.sides[side].push(measurement);
                self.done += 1;
            }
        }
        Ok(result)
    }

    /// One run. Only what makes further runs pointless is an error.
    fn measure(&mut self, members: usize, row: &Row, side: usize) -> Result<Measurement> {
        let outcome = if row.workload.wants_fresh_server() {
            self.measure_fresh(members, row, side)
        } else {
            self.measure_shared(members, row, side)
        };
        match outcome {
            Ok(measurement) => Ok(measurement),
            Err(e) if e.is::<Interrupted>() || self.start_failures > START_FAILURES_MAX => Err(e),
            Err(e) => {
                // The next row begins with new servers, whatever state these are in.
                self.shared = [None, None];
                Ok(Measurement::failed(&format!("{e:#}")))
            }
        }
    }

    fn measure_fresh(&mut self, members: usize, row: &Row, side: usize) -> Result<Measurement> {
        let mut cluster = self.start(side, members)?;
        let run = target(self.plan, &cluster).and_then(|t| load::run(&row.workload, &t));
        explain(run, &mut cluster)
    }

    fn measure_shared(&mut self, members: usize, row: &Row, side: usize) -> Result<Measurement> {
        let cluster = match self.shared[side].take() {
            Some(cluster) => cluster,
            None => {
                let cluster = self.start(side, members)?;
                load::preload(&target(self.plan, &cluster)?)?;
                cluster
            }
        };
        self.shared[side] = Some(cluster);
        quiesce(&self.shared)?;
        let cluster = self.shared[side]
            .as_mut()
            .context("the server was just put there")?;
        let run = target(self.plan, cluster).and_then(|t| load::run(&row.workload, &t));
        explain(run, cluster)
    }

    fn start(&mut self, side: usize, members: usize) -> Result<Cluster> {
        let recipe = [&self.plan.etcd, &self.plan.subject][side];
        let started = Cluster::start(recipe, members);
        self.start_failures += usize::from(started.is_err());
        started.with_context(|| format!("{} with {members} members", recipe.label))
    }

    fn progress(&self, members: usize, row: &str, side: usize, repeat: usize) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let server = ["etcd", "subject"][side];
        let share = self.done as f64 / self.total as f64;
        let gone = self.begun.elapsed().as_secs_f64();
        let left = if share > 0.02 {
            gone / share - gone
        } else {
            0.0
        };
        let text = format!(
            "\r\x1b[2K[{}/{}] {members}/{row} {server} {}/{}, {:.0} s left\r",
            self.done + 1,
            self.total,
            repeat + 1,
            self.plan.repeats,
            left
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

fn target(plan: &Plan, cluster: &Cluster) -> Result<Target> {
    Ok(Target {
        addresses: load::leader_first(cluster.addresses(), plan.leader_only)?,
        gauge: cluster.gauge(),
        keys: plan.keys,
        warm_up: plan.warm_up,
        window: plan.window,
    })
}

/// Adds the log of a member that died to the error of a run.
fn explain(run: Result<Measurement>, cluster: &mut Cluster) -> Result<Measurement> {
    match (run, cluster.dead_member()) {
        (Ok(mut m), Some(text)) => {
            m.errors.add(&text, 1);
            Ok(m)
        }
        (Err(e), Some(text)) if !e.is::<Interrupted>() => Err(e.context(text)),
        (run, _) => run,
    }
}

/// Waits until both servers have finished what an earlier run left them to do, at most two seconds.
fn quiesce(pair: &Pair) -> Result<()> {
    const STEP: Duration = Duration::from_millis(50);
    const IDLE_SHARE: f64 = 0.1;
    for _ in 0..40 {
        let before: Vec<_> = pair
            .iter()
            .flatten()
            .map(|c| (c, c.gauge().read()))
            .collect();
        thread::sleep(STEP);
        let busy = before.iter().any(|(cluster, before)| {
            let used = cluster.gauge().read().since(before);
            used.server_cpu_ns as f64 / 1e9 > IDLE_SHARE * used.seconds
        });
        if interrupt::requested() {
            return Err(Interrupted.into());
        }
        if !busy {
            break;
        }
    }
    Ok(())
}

fn markdown(plan: &Plan, machine: &Machine, minutes: f64, results: &[RowResult]) -> String {
    let version = |r: &Recipe| machine::version(Path::new(&r.binary));
    format!(
        "## {} compared with etcd\n\n{}- load average after the run {}\n- etcd: {}; subject: {}\n\
         - windows of {:.1} s after {:.1} s of warm-up, {} per cell (medians), in turn; {minutes:.1} minutes in all\n\
         - {} keys of {} B, values of {} B; connections to {}\n\n\
         Cells read `etcd → subject (×ratio)`; a ratio above 1 favours the subject. CPU is that of all \
         members together.\n{}",
        plan.subject.label,
        machine.markdown(),
        machine::load_average(),
        version(&plan.etcd),
        version(&plan.subject),
        plan.window.as_secs_f64(),
        plan.warm_up.as_secs_f64(),
        plan.repeats,
        plan.keys.count,
        plan.keys.key_len,
        plan.keys.value_len,
        if plan.leader_only {
            "the leader only"
        } else {
            "all members in turn, the leader first"
        },
        report::tables(results)
    )
}

/// Progress and results go to standard error; standard output carries only the report.
pub(crate) fn say(text: &str) {
    let clear = if std::io::stderr().is_terminal() {
        "\x1b[2K\r"
    } else {
        ""
    };
    let _ = writeln!(std::io::stderr(), "{clear}{text}");
}
