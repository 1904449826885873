//! Histories of a correct store are judged valid, whatever happened in them.

mod support;

use std::collections::BTreeMap;

use mainstay_check::{HarnessFault, Judgement, Options, Verdict, judge};
use support::world::{Plan, simulate};

fn judged(plan: Plan) -> Judgement {
    let judgement = judge(&simulate(plan), &Options::default());
    let malformed = judgement
        .harness
        .iter()
        .find(|fault| matches!(fault, HarnessFault::Malformed(_)));
    assert_eq!(malformed, None);
    judgement
}

/// Judges one run per seed; tells how many were unknown, and the sums of all figures.
fn all_valid(
    seeds: std::ops::Range<u64>,
    plan: impl Fn(u64) -> Plan,
) -> (usize, BTreeMap<&'static str, u64>) {
    let mut figures = BTreeMap::new();
    let mut unknown = 0;
    for seed in seeds {
        let judgement = judged(plan(seed));
        match judgement.verdict {
            Verdict::Valid => {}
            Verdict::Unknown { .. } => unknown += 1,
            Verdict::Invalid { anomalies } => panic!("seed {seed}: {}", anomalies[0]),
        }
        for (name, number) in judgement.reports.iter().flat_map(|report| &report.figures) {
            *figures.entry(*name).or_default() += number;
        }
    }
    (unknown, figures)
}

#[test]
fn histories_of_a_correct_store_are_valid() {
    let (unknown, figures) = all_valid(0..1_000, Plan::new);
    assert_eq!(unknown, 0);
    assert!(figures["expired-with-keys"] > 100, "{figures:?}");
    assert!(figures["events"] > 100_000, "{figures:?}");
    assert!(figures["unknown-without-trace"] > 1_000, "{figures:?}");
}

/// Without a watcher of everything some revisions are known from reads only, or not at all.
#[test]
fn valid_too_when_nobody_saw_everything() {
    let (unknown, figures) = all_valid(10_000..10_600, |seed| Plan {
        full_watch: false,
        watches: 2,
        unknown: 10,
        ..Plan::new(seed)
    });
    assert!(unknown < 12, "{unknown} unknown");
    assert!(figures["revisions-tried-again"] > 100, "{figures:?}");
}

#[test]
fn valid_too_when_most_outcomes_are_unknown() {
    let (unknown, figures) = all_valid(20_000..20_100, |seed| Plan {
        unknown: 50,
        clients: 12,
        keys: 3,
        ..Plan::new(seed)
    });
    assert!(unknown < 5, "{unknown} unknown, {figures:?}");
}

#[test]
fn valid_too_with_registers_only() {
    let (unknown, figures) = all_valid(30_000..30_300, |seed| Plan {
        registers_only: true,
        ..Plan::new(seed)
    });
    assert_eq!(unknown, 0);
    assert!(figures["keys"] > 1_500, "{figures:?}");
}

#[test]
fn valid_too_by_the_second_opinions() {
    let (unknown, figures) = all_valid(40_000..40_150, |seed| Plan {
        workloads: true,
        ..Plan::new(seed)
    });
    assert_eq!(unknown, 0);
    assert!(figures["transactions"] > 10_000, "{figures:?}");
    assert!(figures["elements"] > 4_000, "{figures:?}");
}
