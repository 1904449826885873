//! The end of a run: what every member holds, and what its log says.

use super::harness::{Harness, check_interrupted};
use crate::client::{Client, Reply};
use crate::cluster::log_path;
use crate::limits::{
    DRAIN_DEADLINE, FACTS_DEADLINE, LEASES_GONE_DEADLINE, POLL_INTERVAL, PROBE_DEADLINE,
};
use crate::plan::Plan;
use crate::subject::Kind;
use anyhow::{Context, Result};
use mainstay_check::history::{
    Answer, Blob, LogFinding, LogLevel, MemberFacts, Op, OpResult, PutOp, RangeOp, Record,
};
use mainstay_faults::process::{Finding, LogRules};
use mainstay_proto::etcdserverpb::LeaseLeasesRequest;
use mainstay_tests::Raw;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The places of the last clients among all clients: beyond those of workloads, nemeses and witnesses.
const LAST_SLOT: usize = 300_000;
/// Errors that openraft logs while a member ends in an orderly way: its own tasks still talk to its core.
const AT_EXIT: &[&str] = &[
    "failed to send RaftMsg to RaftCore",
    "failed to receive from RaftCore",
    "error: raft stopped",
];
/// What a member says when it begins to end so, and what its next process says first.
const ENDING: &str = "received signal; shutting down";
const BEGINNING: &str = "starting a member";
/// The last key that is written; its revision is where everybody has to arrive.
const LAST_KEY: &str = "last";

/// Writes once more, reads everything on every member, waits for the witnesses, and asks all members for their hash at
/// the same revision. What is broken by then is returned; the rest is in the history.
pub(super) async fn read_back(harness: &mut Harness, healthy: bool) -> Result<Vec<String>> {
    let members = harness.shared.urls.len();
    let mut clients: Vec<Client> = (0..members)
        .map(|member| Client::new(&harness.shared, LAST_SLOT + member, member))
        .collect();
    let mut broken = Vec::new();
    // Who has not come back by now will not come back for this either.
    let patience = if healthy {
        FACTS_DEADLINE
    } else {
        PROBE_DEADLINE
    };
    if let Some(left) = leases_left(harness).await
        && healthy
    {
        broken.push(format!(
            "{left} leases that nobody renews were left after {LEASES_GONE_DEADLINE:?}"
        ));
    }
    let Some(last) = write_last(&mut clients).await? else {
        broken.push(format!(
            "no write succeeded within {FACTS_DEADLINE:?} after all faults were healed"
        ));
        return Ok(broken);
    };
    for client in &mut clients {
        let whole = RangeOp {
            key: Blob::from_static("\0"),
            end: Blob::from_static("\0"),
            ..RangeOp::default()
        };
        let member = client.member;
        let linearizable = repeat(client, Op::Range(whole.clone()), patience).await?;
        if linearizable.is_none() && healthy {
            broken.push(format!(
                "m{member} did not answer the last read within {FACTS_DEADLINE:?}"
            ));
        }
        client
            .perform(Op::Range(RangeOp {
                serializable: true,
                ..whole
            }))
            .await;
    }
    broken.extend(await_witnesses(harness, last).await);
    for client in &mut clients {
        facts(harness, client, last, patience, &mut broken).await?;
    }
    Ok(broken)
}

/// Waits until no lease is left: one that expired later would move the revision while the members are compared.
async fn leases_left(harness: &Harness) -> Option<usize> {
    let until = Instant::now() + LEASES_GONE_DEADLINE;
    let raws: Vec<Raw> = harness
        .shared
        .urls
        .iter()
        .map(|url| Raw::connect(url, None).with_deadline(PROBE_DEADLINE))
        .collect();
    let mut left = 0;
    for raw in raws.iter().cycle() {
        match raw.lease_leases(LeaseLeasesRequest {}).await {
            Ok(response) if response.leases.is_empty() => return None,
            Ok(response) => left = response.leases.len(),
            Err(_) => {}
        }
        if Instant::now() > until {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
    Some(left)
}

async fn write_last(clients: &mut [Client]) -> Result<Option<i64>> {
    let until = Instant::now() + FACTS_DEADLINE;
    let mut turn = 0;
    while Instant::now() < until {
        check_interrupted()?;
        let at = turn % clients.len();
        let client = &mut clients[at];
        turn += 1;
        let value = client.unique().into();
        let op = Op::Put(PutOp {
            key: LAST_KEY.into(),
            value,
            ..PutOp::default()
        });
        if let Reply::Ok(result) = client.perform(op).await {
            return Ok(Some(result.revision));
        }
    }
    Ok(None)
}

/// The same operation, each time as a new one, until it succeeds.
async fn repeat(client: &mut Client, op: Op, patience: Duration) -> Result<Option<OpResult>> {
    let until = Instant::now() + patience;
    loop {
        check_interrupted()?;
        if let Reply::Ok(result) = client.perform(op.clone()).await {
            return Ok(Some(result));
        }
        if Instant::now() > until {
            return Ok(None);
        }
    }
}

async fn await_witnesses(harness: &mut Harness, last: i64) -> Vec<String> {
    harness.target.send_replace(Some(last));
    let until = Instant::now() + DRAIN_DEADLINE;
    let mut behind = Vec::new();
    for witness in harness.witnesses.drain(..) {
        let member = witness.member;
        let left = until.saturating_duration_since(Instant::now());
        if timeout(left, witness.end()).await.is_err() {
            behind.push(format!(
                "the watcher of m{member} had not seen revision {last} after {DRAIN_DEADLINE:?}"
            ));
        }
    }
    behind
}

async fn facts(
    harness: &Harness,
    client: &mut Client,
    last: i64,
    patience: Duration,
    broken: &mut Vec<String>,
) -> Result<()> {
    let member = client.member;
    let Some(result) = repeat(client, Op::HashKv { revision: last }, patience).await? else {
        broken.push(format!(
            "m{member} did not tell its hash at revision {last}"
        ));
        return Ok(());
    };
    if let Answer::HashKv {
        hash,
        compact_revision,
        ..
    } = result.answer
    {
        let facts = MemberFacts {
            member: client.member_number(),
            revision: last,
            hash,
            compact_revision,
        };
        harness.shared.journal.record(Record::Member(facts)).await;
    }
    Ok(())
}

/// Looks through all logs for what must not be there.
pub(super) async fn scan_logs(harness: &Harness, plan: &Plan, dir: &Path) -> Result<()> {
    let errors_expected =
        plan.subject.kind == Kind::Etcd || plan.nemeses.iter().any(|n| n.may_end_processes());
    for member in 0..plan.members {
        let path = log_path(dir, member);
        let rules = LogRules::default().allow_between(ENDING, BEGINNING, AT_EXIT.iter().copied());
        let findings = tokio::task::spawn_blocking(move || rules.scan(&path, 0))
            .await
            .context("a thread of the harness panicked")??;
        for finding in findings.list {
            let finding = as_record(member, finding, plan, errors_expected);
            harness.shared.journal.record(Record::Log(finding)).await;
        }
    }
    Ok(())
}

fn as_record(member: usize, finding: Finding, plan: &Plan, errors_expected: bool) -> LogFinding {
    let level = match finding.severity {
        "panic" => LogLevel::Panic,
        "fatal" => LogLevel::Fatal,
        _ => LogLevel::Error,
    };
    let may_end = plan
        .nemeses
        .iter()
        .any(|nemesis| nemesis.may_end_processes());
    let expected = match level {
        LogLevel::Panic => false,
        LogLevel::Fatal => may_end,
        LogLevel::Error | LogLevel::Warning => errors_expected,
    };
    LogFinding {
        member: u32::try_from(member).expect("there are few members"),
        time: 0,
        level,
        text: finding.line,
        expected,
    }
}
