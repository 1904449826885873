//! The end of a run: what is in the store, who has seen it, and what the logs say.

use super::load;
use super::plan::ApiPlan;
use super::run::{Harness, PREFIX};
use super::servers::log_path;
use crate::limits::{DRAIN_DEADLINE, FACTS_DEADLINE, POLL_INTERVAL, PROBE_DEADLINE};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use mainstay_check::api::{ApiRecord, Final};
use mainstay_check::history::{LogFinding, LogLevel};
use mainstay_faults::process::LogRules;
use mainstay_proto::etcdserverpb::RangeRequest;
use mainstay_tests::Raw;
use mainstay_tests::raw::prefix_end;
use std::path::Path;
use std::sync::atomic::Ordering;
use tokio::time::{Instant, sleep, timeout};

/// Writes once more, waits for everybody to see it, and reads everything. What is broken by then is returned.
pub(super) async fn finish(harness: &mut Harness) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    match load::last_writes(&harness.shared).await {
        Some(revision) => broken.extend(await_informers(harness, revision).await?),
        None => {
            harness.informers.abort_all();
            broken.push("the last writes did not succeed".to_owned());
        }
    }
    let last = read_everything(harness).await?;
    let revision = last.revision;
    if !harness.witness.wait(revision, FACTS_DEADLINE).await {
        bail!("the witness has not seen revision {revision}");
    }
    let journal = &harness.shared.journal;
    journal.record(ApiRecord::Final(last)).await;
    Ok(broken)
}

/// Every informer has to see its last change.
async fn await_informers(harness: &mut Harness, revision: i64) -> Result<Vec<String>> {
    harness.target.send_replace(revision);
    let all = async {
        while let Some(ended) = harness.informers.join_next().await {
            ended.context("an informer panicked")?;
        }
        Ok::<(), anyhow::Error>(())
    };
    match timeout(DRAIN_DEADLINE, all).await {
        Ok(done) => done.map(|()| Vec::new()),
        Err(_) => {
            let behind = harness.places.iter().filter_map(|(name, at)| {
                let at = at.load(Ordering::Relaxed);
                (at < revision).then(|| format!(
                    "the informer {name} is at {at} and had not seen {revision} after {DRAIN_DEADLINE:?}"
                ))
            });
            Ok(behind.collect())
        }
    }
}

async fn read_everything(harness: &Harness) -> Result<Final> {
    let until = Instant::now() + FACTS_DEADLINE;
    for url in harness.urls.iter().cycle() {
        let raw = Raw::connect(url, None).with_deadline(10 * PROBE_DEADLINE);
        let request = RangeRequest {
            key: Bytes::from_static(PREFIX.as_bytes()),
            range_end: prefix_end(PREFIX.as_bytes()),
            keys_only: true,
            ..Default::default()
        };
        if let Ok(answer) = raw.range(request).await {
            let objects = answer.kvs.iter().map(|kv| {
                let key = String::from_utf8_lossy(&kv.key[PREFIX.len()..]).into_owned();
                (key, kv.mod_revision)
            });
            return Ok(Final {
                objects: objects.collect(),
                revision: answer.header.map_or(0, |header| header.revision),
            });
        }
        if Instant::now() > until {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    bail!("nobody could read everything at the end")
}

/// Looks through the servers' logs for panics.
pub(super) async fn scan_logs(harness: &Harness, plan: &ApiPlan, dir: &Path) -> Result<()> {
    for server in 0..plan.servers {
        let path = log_path(dir, server);
        let scan = tokio::task::spawn_blocking(move || LogRules::default().scan(&path, 0));
        let findings = scan.await.context("a thread of the harness panicked")??;
        for finding in findings.list {
            let level = match finding.severity {
                "panic" => LogLevel::Panic,
                "fatal" => LogLevel::Fatal,
                _ => LogLevel::Error,
            };
            let record = ApiRecord::Log(LogFinding {
                member: u32::try_from(server).expect("there are few servers"),
                time: 0,
                level,
                text: finding.line,
                expected: false,
            });
            harness.shared.journal.record(record).await;
        }
    }
    Ok(())
}
