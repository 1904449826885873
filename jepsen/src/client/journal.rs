//! Everything that happens, on its way into the history file.

use super::outcome::Failure;
use crate::limits::RECORDS_BUFFERED;
use crate::tally::Tally;
use anyhow::{Context, Result};
use mainstay_check::history::{Fault, HistoryWriter, Operation, Record, RunInfo};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The one monotonic clock of a run.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).expect("a run is shorter than 500 years")
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The way into the history. When the disk cannot keep up, clients wait: nothing is dropped.
#[derive(Clone, Debug)]
pub struct Journal {
    sender: mpsc::Sender<Record>,
    /// Counts for live progress.
    pub tally: Arc<Tally>,
    /// The run's clock.
    pub clock: Clock,
}

/// The thread that writes; it ends when the last [`Journal`] is dropped.
#[derive(Debug)]
pub struct JournalWriter(JoinHandle<std::io::Result<()>>);

impl Journal {
    /// Starts writing to `path`, with `run` as the first line.
    pub fn create(path: &Path, run: RunInfo) -> Result<(Self, JournalWriter)> {
        let mut writer =
            HistoryWriter::create(path).with_context(|| format!("creating {}", path.display()))?;
        let (sender, mut receiver) = mpsc::channel(RECORDS_BUFFERED);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                writer.write(&Record::Run(run))?;
                while let Some(record) = receiver.blocking_recv() {
                    writer.write(&record)?;
                    // Whoever reads along, and whoever is killed, finds all but the last moment.
                    if receiver.is_empty() {
                        writer.flush()?;
                    }
                }
                writer.finish()?.sync_data()
            })
            .context("starting the journal's thread")?;
        let journal = Self {
            sender,
            tally: Arc::default(),
            clock: Clock::start(),
        };
        Ok((journal, JournalWriter(thread)))
    }

    /// Writes one record.
    pub async fn record(&self, record: Record) {
        // Fails only when the writer has failed, which `JournalWriter::finish` reports.
        let _ = self.sender.send(record).await;
    }

    /// Writes an operation and counts it.
    pub async fn operation(&self, operation: Operation, failure: Option<&Failure>) {
        self.tally.operation(&operation, failure);
        self.record(Record::Operation(operation)).await;
    }

    /// Writes a fault that has ended.
    pub async fn fault(&self, fault: Fault) {
        self.record(Record::Fault(fault)).await;
    }
}

impl JournalWriter {
    /// Waits until everything is on disk.
    pub async fn finish(self) -> Result<()> {
        tokio::task::spawn_blocking(|| self.0.join())
            .await
            .context("waiting for the journal")?
            .map_err(|_| anyhow::anyhow!("the journal's thread panicked"))?
            .context("writing the history")
    }
}
