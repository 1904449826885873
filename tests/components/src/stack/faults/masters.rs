//! Masters die, one at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Findings;
use super::ground::Ground;
use super::watch::Watch;
use crate::stack::{Figures, Written};

/// How long the API may be gone for a client that asks on: an election, a balancer that notices, and a busy machine.
const GAP_MAX: Duration = Duration::from_secs(20);

/// Each master once a round, always with all others there.
pub(super) async fn each(ground: &Ground<'_>, rounds: usize) -> Findings {
    let mut gaps = Vec::new();
    let mut books = Vec::new();
    for _ in 0..rounds {
        for master in ground.stack.masters().into_keys() {
            let watch = Watch::begin(ground).await;
            let ledger = ground.ledger(&master).await;
            let killed = Instant::now();
            ground.stack.mainstay(&["kill", &master]).await;
            ledger.goes_on().await;
            ground.stack.mainstay(&["start", &master]).await;
            ground.stack.masters_ready().await;
            ledger.goes_on().await;
            let written = ledger.end().await;
            gaps.push(written.gap(killed));
            assert!(
                written.gap(killed) < GAP_MAX,
                "no write for {:?} after the end of {master}: {:?}",
                written.gap(killed),
                written.errors
            );
            books.push(written);
            watch.undisturbed(&format!("{master} died")).await;
        }
    }
    let gaps: Figures = gaps.into_iter().collect();
    let mut findings = vec![
        ("kills".to_owned(), gaps.count().to_string()),
        ("API gap p50 / p99 / max".to_owned(), gaps.to_string()),
    ];
    findings.extend(told(&books));
    findings
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
    let gap = written.gap(killed);
    assert!(
        gap < GAP_MAX * 2,
        "no write for {gap:?}: {:?}",
        written.errors
    );
    let mut findings = vec![(
        "longest API gap".to_owned(),
        crate::stack::figures::seconds(gap),
    )];
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
