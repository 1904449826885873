//! Many seeds, each in a process of its own.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use parking_lot::Mutex;

use crate::limits::SEED_LIMIT_S;
use crate::run::{EXIT_HARNESS, EXIT_VIOLATION};

/// Each of these must have happened in a campaign, or it has tested less than it says.
pub const DEMANDED: &[&str] = &[
    "answers_checked",
    "bits_rotten",
    "clocks_off",
    "compactions",
    "connections_broken",
    "damaged_logs",
    "disk_errors",
    "disk_slow",
    "disk_stalls",
    "disks_full",
    "elections",
    "freezes",
    "leader_moves",
    "leases_expired",
    "log_truncations",
    "members_added",
    "members_removed",
    "minority_stays_dead",
    "partition_bridge",
    "partition_flapping",
    "partition_halves",
    "partition_isolated",
    "partition_one_way",
    "pauses",
    "power_cuts",
    "power_cuts_amid_writes",
    "power_cuts_of_all",
    "process_kills",
    "progress_asked",
    "renewals",
    "snapshots",
    "snapshots_received",
    "torn_tails",
    "watch_events",
    "watches_canceled",
];

/// What one seed's process said.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    pub verdict: Verdict,
    /// All it printed.
    pub text: String,
}

/// How a seed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Held,
    Violated,
    /// The run says nothing about the store.
    Harness,
}

impl Report {
    /// The line with the result.
    pub fn result(&self) -> &str {
        let mut lines = self.text.lines();
        lines.find(|line| line.starts_with("seed ")).unwrap_or("")
    }

    /// What the store did wrong.
    pub fn violation(&self) -> &str {
        let mut lines = self.text.lines();
        let found = lines.find_map(|line| line.strip_prefix("VIOLATION: "));
        found.unwrap_or("")
    }

    fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let words = self.result().split_whitespace();
        words.filter_map(|word| {
            let (name, n) = word.split_once('=')?;
            Some((name, n.parse().ok()?))
        })
    }
}

/// Runs one seed in a process of its own, with a planted bug if one is named.
pub fn run_one(program: &Path, seed: u64, planted: Option<&str>) -> anyhow::Result<Report> {
    let mut command = Command::new(program);
    command
        .args(["replay", &seed.to_string()])
        .env_remove(mainstay_planted::VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(bug) = planted {
        command.env(mainstay_planted::VARIABLE, bug);
    }
    let mut child = command.spawn().context("cannot start a seed's process")?;
    let mut output = child.stdout.take().context("no output to read")?;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let code = wait(&mut child)?;
    let read = reading
        .join()
        .map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    let mut text = read.context("reading a seed's output")?;
    let verdict = match code {
        Some(0) => Verdict::Held,
        Some(code) if code == i32::from(EXIT_VIOLATION) => Verdict::Violated,
        Some(code) if code == i32::from(EXIT_HARNESS) => Verdict::Harness,
        Some(_) => Verdict::Harness,
        None => {
            text.push_str("HARNESS: no end in sight, or killed\n");
            Verdict::Harness
        }
    };
    Ok(Report {
        seed,
        verdict,
        text,
    })
}

/// The exit code; `None` if it had to be ended.
fn wait(child: &mut Child) -> anyhow::Result<Option<i32>> {
    let deadline = Instant::now() + Duration::from_secs(SEED_LIMIT_S);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub program: PathBuf,
    pub from: u64,
    pub seeds: u64,
    pub jobs: usize,
    pub planted: Option<String>,
    /// Ends at the first seed that did not hold.
    pub until_violation: bool,
}

/// What a campaign found.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    pub counts: BTreeMap<String, u64>,
    pub failed: Vec<Report>,
    pub took: Duration,
}

impl Summary {
    /// Demanded faults and events that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let happened = |name: &&str| self.counts.get(*name).is_none_or(|n| *n == 0);
        DEMANDED.iter().copied().filter(happened).collect()
    }
}

impl Campaign {
    /// Runs all seeds.
    pub fn run(&self, progress: &(dyn Fn(&Report) + Sync)) -> anyhow::Result<Summary> {
        let begun = Instant::now();
        let next = AtomicU64::new(0);
        let summary = Mutex::new(Summary::default());
        let problem = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= self.seeds || problem.lock().is_some() {
                            return;
                        }
                        match run_one(&self.program, self.from + n, self.planted.as_deref()) {
                            Ok(report) => {
                                progress(&report);
                                let mut summary = summary.lock();
                                summary.seeds += 1;
                                for (name, n) in report.counts() {
                                    *summary.counts.entry(name.to_owned()).or_default() += n;
                                }
                                if report.verdict != Verdict::Held {
                                    summary.failed.push(report);
                                    if self.until_violation {
                                        next.store(self.seeds, Ordering::Relaxed);
                                    }
                                }
                            }
                            Err(e) => *problem.lock() = Some(e),
                        }
                    }
                });
            }
        });
        if let Some(e) = problem.into_inner() {
            bail!(e);
        }
        let mut summary = summary.into_inner();
        summary.failed.sort_by_key(|report| report.seed);
        summary.took = begun.elapsed();
        Ok(summary)
    }
}
