//! What a run leaves behind: `result.json` for programs, `report.html` for people, and a page over all runs.

pub(crate) mod html;
mod index;
mod page;
mod plot;

pub use self::index::write_index;
pub use self::page::write_page;
pub(crate) use self::page::{
    checkers as checkers_html, figures as figures_html, head as head_html,
};

use crate::figures::Figures;
use crate::known::Subjected;
use crate::plan::Plan;
use crate::run::Finished;
use crate::tower::Reign;
use crate::verdict::Grade;
use anyhow::{Context, Result, bail};
use mainstay_check::{HarnessFault, Judgement, Verdict};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the file in a run's folder.
pub const RESULT_FILE: &str = "result.json";

/// A broken promise, as shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Which promise.
    pub kind: String,
    /// What was expected and what was seen.
    pub text: String,
    /// Operations that prove it.
    pub operations: Vec<u64>,
    /// Watches that prove it.
    pub watches: Vec<u64>,
    /// The revision it is about.
    pub revision: Option<i64>,
}

/// What one checker did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerShown {
    /// Its name.
    pub name: String,
    /// Broken promises it found.
    pub anomalies: u64,
    /// Why it cannot say that there are none.
    pub unknown: Vec<String>,
    /// What it left out.
    pub notes: Vec<String>,
    /// What it looked at.
    pub figures: Vec<(String, u64)>,
}

/// Everything that is known of a run besides its history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the run's folder.
    pub name: String,
    /// The verdict.
    pub grade: Grade,
    /// Seconds since 1970 when the run ended.
    pub ended: u64,
    /// What the clients did.
    pub workload: String,
    /// What went wrong.
    pub nemeses: String,
    /// Cluster size.
    pub members: usize,
    /// Length of the fault phase, seconds.
    pub seconds: u64,
    /// The seed.
    pub seed: u64,
    /// Which server, as it names itself.
    pub subject: String,
    /// The command that makes this run again.
    pub command: String,
    /// Begin and end of the faults, nanoseconds since the start of the run.
    pub fault_phase: (u64, u64),
    /// When the load ended, nanoseconds since the start of the run.
    #[serde(default)]
    pub load_end: u64,
    /// Promises that the harness saw broken.
    pub broken: Vec<String>,
    /// Members that ended although nobody ended them.
    pub died: Vec<String>,
    /// Broken promises that the checkers found; the first of them.
    pub anomalies: Vec<Shown>,
    /// Published faults of the control, which do not count against it.
    #[serde(default)]
    pub known: Vec<String>,
    /// What decides whether a fault is known.
    #[serde(default)]
    pub subjected: Subjected,
    /// Why a checker could not decide.
    pub unknown: Vec<String>,
    /// What is wrong with the run itself.
    pub harness: Vec<String>,
    /// The checkers.
    pub checkers: Vec<CheckerShown>,
    /// Figures.
    pub figures: Figures,
    /// Who led, and when.
    pub reigns: Vec<Reign>,
}

impl RunResult {
    /// Before anything is known: a run that the harness could not carry out.
    pub fn failed(plan: &Plan, name: &str, error: &anyhow::Error) -> Self {
        Self {
            name: name.to_owned(),
            grade: Grade::HarnessFault,
            ended: now(),
            workload: plan.workload.to_string(),
            nemeses: plan.nemesis_names(),
            members: plan.members,
            seconds: plan.time.as_secs(),
            seed: plan.seed,
            subject: format!("{} ({})", plan.subject.kind, plan.subject.version_line),
            command: plan.command(),
            fault_phase: (0, 0),
            load_end: 0,
            broken: Vec::new(),
            died: Vec::new(),
            anomalies: Vec::new(),
            known: Vec::new(),
            subjected: Subjected::of(plan),
            unknown: Vec::new(),
            harness: vec![format!("{error:#}")],
            checkers: Vec::new(),
            figures: Figures::default(),
            reigns: Vec::new(),
        }
    }

    /// Takes in what the run left.
    pub fn finished(&mut self, finished: &Finished) {
        self.harness.clear();
        self.fault_phase = finished.fault_phase;
        self.load_end = finished.load_end;
        self.broken.clone_from(&finished.broken);
        self.died.clone_from(&finished.driven.died);
        self.reigns.clone_from(&finished.reigns);
    }

    /// Takes in what the checkers say.
    pub fn judged(&mut self, judgement: &Judgement, figures: Figures) {
        self.grade = Grade::of(judgement, &self.broken);
        self.figures = figures;
        self.harness = judgement.harness.iter().map(harness_text).collect();
        self.unknown.clear();
        self.anomalies.clear();
        match &judgement.verdict {
            Verdict::Valid => {}
            Verdict::Unknown { why } => self.unknown.clone_from(why),
            Verdict::Invalid { anomalies } => {
                self.anomalies = anomalies
                    .iter()
                    .map(|anomaly| Shown {
                        kind: format!("{:?}", anomaly.kind),
                        text: anomaly.text.clone(),
                        operations: anomaly.operations.clone(),
                        watches: anomaly.watches.clone(),
                        revision: anomaly.revision,
                    })
                    .collect();
            }
        }
        let checker = |report: &mainstay_check::Report| CheckerShown {
            name: report.checker.to_owned(),
            anomalies: report.anomaly_count,
            unknown: report.unknown.clone(),
            notes: report.notes.clone(),
            figures: report
                .figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        };
        self.checkers = judgement.reports.iter().map(checker).collect();
    }

    /// Writes `result.json`.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let path = dir.join(RESULT_FILE);
        let text = serde_json::to_string_pretty(self).context("encoding the result")?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads it back.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(RESULT_FILE);
        if !path.is_file() {
            bail!(
                "{} is no folder of a run: it has no {RESULT_FILE}",
                dir.display()
            );
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no result of a run", path.display()))
    }
}

fn harness_text(fault: &HarnessFault) -> String {
    match fault {
        HarnessFault::Malformed(text) => format!("malformed history: {text}"),
        HarnessFault::Insufficient(text) => format!("insufficient: {text}"),
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
