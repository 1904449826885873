//! Every way to spoil a valid history is noticed, and as what it is.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_check::{AnomalyKind, Options, Verdict, judge, wgl};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::mutate::{all, is_current_read, pairs, pairs_mut, pick};
use support::world::{Plan, simulate};

const SEEDS: std::ops::Range<u64> = 50_000..50_030;

#[test]
fn every_spoiled_history_is_invalid() {
    let mut times: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for seed in SEEDS {
        let history = simulate(Plan::new(seed));
        for mutation in all() {
            let mut spoiled = history.clone();
            let mut rng = StdRng::seed_from_u64(seed);
            let counts = times.entry(mutation.name).or_default();
            if !(mutation.spoil)(&mut spoiled, &mut rng) {
                continue;
            }
            counts.0 += 1;
            let verdict = judge(&spoiled, &Options::default()).verdict;
            let Verdict::Invalid { anomalies } = verdict else {
                panic!("seed {seed}: {} is {verdict:?}", mutation.name);
            };
            let named = |kind: &AnomalyKind| anomalies.iter().any(|found| found.kind == *kind);
            counts.1 += u32::from(mutation.found_as.iter().any(named));
        }
    }
    let weak: Vec<_> = times
        .iter()
        // Another anomaly may hide the one meant, but not as a rule.
        .filter(|(_, (spoiled, named))| *spoiled < 5 || named * 10 < spoiled * 8)
        .collect();
    assert!(
        weak.is_empty(),
        "(name, (spoiled, named rightly)): {weak:?}"
    );
    assert!(times.len() >= 55, "{}", times.len());
    println!("{times:?}");
}

/// Sets and cycles do not need revisions either.
#[test]
fn second_opinions_find_what_is_lost() {
    let (mut sets, mut cycles) = (0, 0);
    for seed in 0..30 {
        let mut history = simulate(Plan {
            workloads: true,
            ..Plan::new(seed)
        });
        let mut rng = StdRng::seed_from_u64(seed);
        let set = pick(&history.operations, &mut rng, |read| {
            is_current_read(read) && pairs(read).len() > 3
        });
        pairs_mut(&mut history.operations[set.unwrap()]).remove(0);
        let list = pick(&history.operations, &mut rng, |read| {
            is_current_read(read)
                && pairs(read).len() == 1
                && pairs(read)[0]
                    .value
                    .as_text()
                    .is_some_and(|text| text.split(' ').count() > 3)
        });
        let kv = &mut pairs_mut(&mut history.operations[list.unwrap()])[0];
        kv.value = "1 2 3".into();
        let judgement = judge(&history, &Options::default());
        for report in &judgement.reports {
            match report.checker {
                "sets" => sets += usize::from(!report.anomalies.is_empty()),
                "cycles" => cycles += usize::from(!report.anomalies.is_empty()),
                _ => {}
            }
        }
    }
    // An element may be so new that a read without it is right.
    assert!(sets >= 28 && cycles == 30, "{sets} {cycles}");
}

/// Without a watcher of everything a verdict may be unknown, but never valid.
#[test]
fn no_spoiled_history_is_valid_when_nobody_saw_everything() {
    let (mut invalid, mut unknown) = (0, 0);
    for seed in 60_000..60_010 {
        let history = simulate(Plan {
            full_watch: false,
            ..Plan::new(seed)
        });
        for mutation in all() {
            let mut spoiled = history.clone();
            let mut rng = StdRng::seed_from_u64(seed);
            // A request that nobody saw may be forgotten, and one of a failed outcome may explain it.
            let visible = !matches!(
                mutation.name,
                "write from nowhere" | "failed write happened"
            );
            if !visible || !(mutation.spoil)(&mut spoiled, &mut rng) {
                continue;
            }
            match judge(&spoiled, &Options::default()).verdict {
                Verdict::Valid => panic!("seed {seed}: {} is valid", mutation.name),
                Verdict::Invalid { .. } => invalid += 1,
                Verdict::Unknown { .. } => unknown += 1,
            }
        }
    }
    println!("{invalid} invalid, {unknown} unknown");
    assert!(
        unknown * 20 < invalid,
        "{invalid} invalid, {unknown} unknown"
    );
}

/// WGL alone, without any revision in its favour.
#[test]
fn the_search_alone_finds_impossible_reads() {
    let mut caught = 0;
    let plan = |seed| Plan {
        registers_only: true,
        unknown: 2,
        ..Plan::new(seed)
    };
    for seed in 0..60 {
        let mut history = simulate(plan(seed));
        let time = Duration::from_secs(5);
        assert_eq!(
            wgl::check(&history, time).verdict(),
            Verdict::Valid,
            "seed {seed}"
        );
        let mut rng = StdRng::seed_from_u64(seed);
        let at = pick(&history.operations, &mut rng, |read| {
            is_current_read(read) && !pairs(read).is_empty()
        });
        let Some(at) = at else { continue };
        let kv = &mut pairs_mut(&mut history.operations[at])[0];
        match seed % 3 {
            0 => kv.value = "v0".into(),
            1 => kv.version += 1,
            _ => kv.modified += 1,
        }
        let verdict = wgl::check(&history, time).verdict();
        assert!(
            matches!(verdict, Verdict::Invalid { .. }),
            "seed {seed}: {verdict:?}"
        );
        caught += 1;
    }
    assert!(caught > 50, "{caught}");
}
