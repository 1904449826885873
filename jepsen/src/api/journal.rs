//! Everything that happens, on its way into the history, and counts of it.

use crate::client::Clock;
use crate::limits::RECORDS_BUFFERED;
use anyhow::{Context, Result};
use mainstay_check::api::{ApiRecord, ApiRun};
use mainstay_check::history::{HistoryWriter, Outcome};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Counts for live progress.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) ok: AtomicU64,
    pub(super) fail: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) events: AtomicU64,
    /// Failures by code or text, and ends of watches as `watch:WHY`.
    pub(super) failures: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    pub(super) fn outcome(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::Fail => &self.fail,
            Outcome::Unknown => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self, class: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(class.to_owned()).or_default() += 1;
    }

    /// The failures so far.
    pub(super) fn failures(&self) -> BTreeMap<String, u64> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.clone()
    }
}

/// The way into the history. When the disk cannot keep up, clients wait: nothing is dropped.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    sender: mpsc::Sender<ApiRecord>,
    pub(super) counts: Arc<Counts>,
    pub(super) clock: Clock,
}

/// The thread that writes; it ends when the last [`Journal`] is dropped.
#[derive(Debug)]
pub(super) struct Writer(JoinHandle<std::io::Result<()>>);

impl Journal {
    pub(super) fn create(path: &Path, run: ApiRun) -> Result<(Self, Writer)> {
        let mut writer =
            HistoryWriter::create(path).with_context(|| format!("creating {}", path.display()))?;
        let (sender, mut receiver) = mpsc::channel(RECORDS_BUFFERED);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                writer.write(&ApiRecord::Run(run))?;
                while let Some(record) = receiver.blocking_recv() {
                    writer.write(&record)?;
                }
                writer.finish()?.sync_data()
            })
            .context("starting the journal's thread")?;
        let journal = Self {
            sender,
            counts: Arc::default(),
            clock: Clock::start(),
        };
        Ok((journal, Writer(thread)))
    }

    pub(super) async fn record(&self, record: ApiRecord) {
        // Fails only when the writer has failed, which `Writer::finish` reports.
        let _ = self.sender.send(record).await;
    }
}

impl Writer {
    /// Waits until everything is on disk.
    pub(super) async fn finish(self) -> Result<()> {
        tokio::task::spawn_blocking(|| self.0.join())
            .await
            .context("waiting for the journal")?
            .map_err(|_| anyhow::anyhow!("the journal's thread panicked"))?
            .context("writing the history")
    }
}
