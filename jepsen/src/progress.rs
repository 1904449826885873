//! One line a second: what the clients achieve, what is broken at the moment, who leads.

use crate::client::Journal;
use crate::limits::PROGRESS_INTERVAL;
use crate::tally::Counts;
use crate::tower::Tower;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The faults that act at the moment, and the phase of the run.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phase: &'static str,
    faults: BTreeMap<&'static str, String>,
}

impl Board {
    /// Another phase begins.
    pub fn phase(&self, phase: &'static str) {
        self.state().phase = phase;
    }

    /// A fault begins.
    pub fn begin(&self, name: &'static str, targets: &[String]) {
        let shown = match targets {
            [] => name.to_owned(),
            [one] => format!("{name}({one})"),
            [one, .., last] => format!("{name}({one}..{last})"),
        };
        self.state().faults.insert(name, shown);
    }

    /// A fault ends.
    pub fn end(&self, name: &str) {
        self.state().faults.remove(name);
    }

    /// The phase, and what acts at the moment.
    pub(crate) fn shown(&self) -> (&'static str, String) {
        let state = self.state();
        let faults: Vec<&str> = state.faults.values().map(String::as_str).collect();
        let faults = if faults.is_empty() {
            "-".to_owned()
        } else {
            faults.join(" ")
        };
        (state.phase, faults)
    }

    /// No code panics while it holds this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line every second until dropped.
#[derive(Debug)]
pub struct Progress(JoinHandle<()>);

impl Progress {
    /// Starts telling `say`.
    pub fn start(journal: Journal, tower: Arc<Tower>, board: Board, say: fn(&str)) -> Self {
        Self(tokio::spawn(async move {
            let mut last = journal.tally.counts();
            let mut next = Instant::now();
            loop {
                next += PROGRESS_INTERVAL;
                sleep_until(next).await;
                let counts = journal.tally.counts();
                say(&line(&journal, &tower, &board, &counts, &last));
                last = counts;
            }
        }))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn line(journal: &Journal, tower: &Tower, board: &Board, counts: &Counts, last: &Counts) -> String {
    let (phase, faults) = board.shown();
    let rate = counts.ok - last.ok;
    let leader = tower
        .leader()
        .map_or_else(|| "none".to_owned(), |leader| format!("m{leader}"));
    let mut line = format!(
        "{:>4}s {phase:<8} ok {:>7} ({rate:>5}/s) fail {:>5} unknown {:>4} events {:>7} | leader {leader} changes {} | {faults}",
        journal.clock.elapsed().as_secs(),
        counts.ok,
        counts.fail,
        counts.unknown,
        counts.watch_events,
        tower.reigns().len().saturating_sub(1),
    );
    let fresh = counts.failures.iter().filter_map(|(class, count)| {
        let more = count - last.failures.get(class).copied().unwrap_or(0);
        (more > 0).then(|| format!("{class} {more}"))
    });
    let fresh: Vec<String> = fresh.collect();
    if !fresh.is_empty() {
        let _ = write!(line, " | {}", fresh.join(", "));
    }
    line
}
