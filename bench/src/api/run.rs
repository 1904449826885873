//! The rows against every stack in turn.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::calls::{self, Series, Times};
use super::report::{self, RowResult};
use super::rows::{self, Row, Stage, Work};
use super::stack::{Program, Stack};
use super::watch;
use crate::compare::say;
use crate::interrupt::{self, Interrupted, rest};
use crate::latency::Latency;
use crate::machine::{self, Machine};
use crate::measurement::{Errors, Measurement};

/// What is measured and how long.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The stacks; ratios are to the first.
    pub(crate) programs: Vec<Program>,
    pub(crate) quick: bool,
    pub(crate) patterns: Vec<String>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) repeats: usize,
    /// Pods of the lists.
    pub(crate) pods: u64,
    pub(crate) out: PathBuf,
}

/// One line of `apiserver.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    row: &'a str,
    stack: &'a str,
    repeat: usize,
    #[serde(flatten)]
    measurement: &'a Measurement,
}

/// Pods that are read and updated while lists are not what is measured.
const LIGHT_PODS: u64 = 1_000;
/// Pods of a node when lists are measured.
const PODS_PER_NODE: u64 = 100;
/// Requests at a time while pods are made ready.
const FILL_IN_FLIGHT: usize = 64;
/// Time for memory to come to rest before it is read.
const REST: Duration = Duration::from_secs(5);

/// Runs the plan and returns the report, which is also written to the plan's folder, and the first stack's errors.
///
/// # Errors
/// If files cannot be written or the program is interrupted. A failed row is part of the report.
pub(crate) fn run(plan: &Plan) -> Result<(String, u64)> {
    fs::create_dir_all(&plan.out).context("cannot make the folder for results")?;
    let work_dir = plan.programs.first().and_then(|p| p.work_dir.clone());
    let machine = Machine::look(&work_dir.unwrap_or_else(std::env::temp_dir));
    let rows = rows::rows(plan.quick, &plan.patterns);
    anyhow::ensure!(!rows.is_empty(), "no row matches");
    let mut json = File::create(plan.out.join("apiserver.jsonl"))?;
    let mut results: Vec<RowResult> = rows
        .iter()
        .map(|row| RowResult::new(*row, plan.programs.len()))
        .collect();
    for stage in [Stage::Light, Stage::Filled, Stage::Watched] {
        for (side, program) in plan.programs.iter().enumerate() {
            let of_stage: Vec<&mut RowResult> = results
                .iter_mut()
                .filter(|r| r.row.stage == stage)
                .collect();
            if !of_stage.is_empty() {
                run_stage(plan, stage, side, program, of_stage, &mut json)?;
            }
        }
    }
    let labels: Vec<String> = plan.programs.iter().map(|p| p.label.clone()).collect();
    let errors = results.iter().map(RowResult::subject_errors).sum();
    let markdown = markdown(plan, &machine, &report::tables(&results, &labels));
    fs::write(plan.out.join("apiserver.md"), &markdown)?;
    Ok((markdown, errors))
}

/// Runs the rows of one stage against one stack; what fails is noted in the rows.
fn run_stage(
    plan: &Plan,
    stage: Stage,
    side: usize,
    program: &Program,
    results: Vec<&mut RowResult>,
    json: &mut File,
) -> Result<()> {
    let mut staged = Staged::new(plan, stage, program);
    for result in results {
        for repeat in 0..plan.repeats {
            let row = result.row;
            let outcome = match &mut staged {
                Ok(staged) => staged.measure(row, repeat),
                Err(e) => Err(anyhow::anyhow!("{e:#}")),
            };
            if interrupt::requested() {
                return Err(Interrupted.into());
            }
            let measurement = outcome.unwrap_or_else(|e| Measurement::failed(&format!("{e:#}")));
            let line = Line {
                row: row.name,
                stack: &program.label,
                repeat,
                measurement: &measurement,
            };
            serde_json::to_writer(&*json, &line)?;
            json.write_all(b"\n")?;
            result.sides[side].push(measurement);
        }
        say(&result.line(side, &program.label));
    }
    Ok(())
}

/// A stack that was made ready for a stage.
struct Staged<'a> {
    plan: &'a Plan,
    stack: Stack,
    pods: u64,
    nodes: u64,
    ready: Duration,
    /// Resident memory of the apiserver before there were pods.
    rss_before: u64,
}

impl<'a> Staged<'a> {
    fn new(plan: &'a Plan, stage: Stage, program: &Program) -> Result<Self> {
        let (stack, ready) =
            Stack::start(program).with_context(|| format!("starting {}", program.label))?;
        rest(REST)?;
        let rss_before = stack.apiserver(0).rss();
        let (pods, nodes, servers) = match stage {
            Stage::Light => (LIGHT_PODS, LIGHT_PODS / PODS_PER_NODE, 1),
            Stage::Filled => (plan.pods, plan.pods / PODS_PER_NODE, 1),
            Stage::Watched => {
                let wanted = if plan.quick { 1_000 } else { 10_000 };
                (wanted, wanted, 2)
            }
        };
        stack.furnish()?;
        let mut staged = Self {
            plan,
            stack,
            pods,
            nodes,
            ready,
            rss_before,
        };
        // Of an idle server nothing must have been asked.
        if stage != Stage::Light {
            staged.fill()?;
            staged.stack.grow(servers)?;
            rest(REST)?;
        }
        Ok(staged)
    }

    fn fill(&mut self) -> Result<()> {
        calls::fill(&self.stack, self.series("base"), 0, FILL_IN_FLIGHT)
    }

    fn series<'n>(&self, name: &'n str) -> Series<'n> {
        Series {
            name,
            pods: self.pods,
            nodes: self.nodes,
        }
    }

    fn measure(&mut self, row: Row, repeat: usize) -> Result<Measurement> {
        self.stack.grow(row.servers)?;
        self.stack.shrink(row.servers);
        let long = |d: Duration| d.as_nanos() as u64;
        let mut times = Times {
            warm_up_ns: long(self.plan.warm_up),
            window_ns: long(self.plan.window),
        };
        let run = match row.work {
            Work::Idle => self.idle(),
            Work::Memory => self.memory(),
            Work::Calls { op, in_flight } => {
                if op == calls::Op::Create {
                    let name = format!("{}-{repeat}", row.name.replace('@', "x"));
                    calls::run(op, in_flight, &self.stack, self.series(&name), times)
                } else {
                    if row.stage == Stage::Light && repeat == 0 && op == calls::Op::Get {
                        self.fill()?;
                    }
                    if op.is_list() {
                        times.warm_up_ns = 1;
                    }
                    calls::run(op, in_flight, &self.stack, self.series("base"), times)
                }
            }
            Work::Watch {
                watchers,
                by_node,
                rate_per_s,
            } => {
                let shape = watch::Shape {
                    watchers,
                    by_node,
                    rate_per_s,
                };
                let mut series = self.series("base");
                if by_node {
                    // Only pods of nodes that somebody watches.
                    series.pods = series.pods.min(watchers as u64);
                    series.nodes = series.pods;
                }
                watch::run(shape, &self.stack, series, times)
            }
        };
        match (run, self.stack.dead()) {
            (Ok(mut m), Some(text)) => {
                m.errors.add(&text, 1);
                Ok(m)
            }
            (Err(e), Some(text)) => Err(e.context(text)),
            (run, None) => run,
        }
    }

    fn idle(&self) -> Result<Measurement> {
        let (server, store) = (self.stack.apiservers(), self.stack.store());
        let before = server.read();
        rest(self.plan.window.max(REST))?;
        let used = server.read().since(&before);
        let mut m = Measurement::new(
            used.seconds.round().max(1.0) as u64,
            &Latency::new(),
            &used,
            &server,
            Errors::default(),
        );
        m.extra.insert("rss_bytes", server.rss() as f64);
        m.extra.insert("store_rss_bytes", store.rss() as f64);
        m.extra
            .insert("ready_ms", self.ready.as_secs_f64() * 1000.0);
        Ok(m)
    }

    fn memory(&self) -> Result<Measurement> {
        let mut m = self.idle()?;
        let (server, pods) = (self.stack.apiservers(), self.pods as f64);
        let grown = server.rss().saturating_sub(self.rss_before) as f64;
        m.extra.insert("rss_per_pod_bytes", grown / pods);
        m.extra.insert("peak_rss_bytes", server.peak_rss() as f64);
        Ok(m)
    }
}

fn markdown(plan: &Plan, machine: &Machine, tables: &str) -> String {
    let mut stacks = String::new();
    for program in &plan.programs {
        stacks.push_str(&format!(
            "- {}: {} on {}\n",
            program.label,
            machine::version(&program.apiserver),
            machine::version(&program.store)
        ));
    }
    format!(
        "## Apiservers under load\n\n{}- load average after the run {}\n{stacks}\
         - windows of {:.1} s, {} per cell (medians); lists of {} pods\n\n\
         Behind the figures of other stacks: how many times better {} is.\n{tables}",
        machine.markdown(),
        machine::load_average(),
        plan.window.as_secs_f64(),
        plan.repeats,
        plan.pods,
        plan.programs.first().map_or("the first", |p| &p.label),
    )
}
