//! Masters die, one at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Findings;
use super::ground::Ground;
use super::watch::Watch;
use crate::stack::figures::seconds;
use crate::stack::{Figures, Written};

/// How long the API may be gone for a client that asks on: an election, a balancer that notices, and a busy machine.
const GAP_MAX: Duration = Duration::from_secs(20);

/// Each master once a round, always with all others there.
pub(super) async fn each(ground: &Ground<'_>, rounds: usize) -> Findings {
    let mut gaps = Vec::new();
    let mut books = Vec::new();
    let mut each = Vec::new();
    for _ in 0..rounds {
        for master in ground.stack.masters().into_keys() {
            let written = one(ground, &master, &mut each).await;
            gaps.push(written.0);
            books.push(written.1);
        }
    }
    let gaps: Figures = gaps.into_iter().collect();
    let mut findings = vec![
        ("kills".to_owned(), gaps.count().to_string()),
        ("API gap p50 / p99 / max".to_owned(), gaps.to_string()),
    ];
    findings.extend(told(&books));
    findings.extend(each);
    findings
}

/// One of them, until it is back. Returns the longest time without a write, and all writes.
async fn one(ground: &Ground<'_>, master: &str, findings: &mut Findings) -> (Duration, Written) {
    let stack = ground.stack;
    let watch = Watch::begin(ground).await;
    let ledger = ground.ledger(master).await;
    let killed = Instant::now();
    stack.mainstay(&["kill", master]).await;
    ledger.goes_on().await;
    let back = killed.elapsed();
    stack.mainstay(&["start", master]).await;
    stack.masters_ready().await;
    ledger.goes_on().await;
    let written = ledger.end().await;
    let (gap, begun) = written.gap(killed);
    assert!(
        gap < GAP_MAX,
        "no write for {gap:?} after the end of {master}: {:?}",
        written.errors
    );
    watch.undisturbed(&format!("{master} died")).await;
    let [long, begun, back] = [gap, begun, back].map(seconds);
    let told = format!("{long}, from {begun} after; switched on again after {back}");
    findings.push((format!("gap by the end of {master}"), told));
    (gap, written)
}

/// The second goes when the first has only just come back.
pub(super) async fn two(ground: &Ground<'_>) -> Findings {
    let masters: Vec<String> = ground.stack.masters().into_keys().collect();
    let watch = Watch::begin(ground).await;
    let ledger = ground.ledger("two").await;
    let killed = Instant::now();
    for master in masters.iter().rev().take(2) {
        ground.stack.mainstay(&["kill", master]).await;
        ground.stack.mainstay(&["start", master]).await;
        ground.stack.masters_ready().await;
    }
    ledger.goes_on().await;
    let written = ledger.end().await;
    watch.undisturbed("two masters died in turn").await;
    let (gap, _) = written.gap(killed);
    assert!(
        gap < GAP_MAX * 2,
        "no write for {gap:?}: {:?}",
        written.errors
    );
    let mut findings = vec![("longest API gap".to_owned(), seconds(gap))];
    findings.extend(told(&[written]));
    findings
}

/// What several writers had done, all of which is still there.
pub(super) fn told(books: &[Written]) -> Findings {
    let all = books.iter().flat_map(|one| &one.acknowledged);
    let figures: Figures = all.map(|(_, took)| *took).collect();
    let mut errors = BTreeMap::new();
    for (error, count) in books.iter().flat_map(|one| &one.errors) {
        *errors.entry(error.clone()).or_insert(0) += count;
    }
    let attempts: usize = errors.values().sum();
    vec![
        (
            "writes, all still there".to_owned(),
            figures.count().to_string(),
        ),
        ("a write p50 / p99 / max".to_owned(), figures.to_string()),
        ("attempts that failed".to_owned(), attempts.to_string()),
    ]
}
