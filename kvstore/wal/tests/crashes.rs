//! Random scripts, crashes at any operation, any loss of what was not synced.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod common;

use common::{Op, assert_known, is_damaged, open};
use mainstay_wal::MemDisk;
use mainstay_wal::disk::Crash;
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1usize..6, 0usize..200).prop_map(|(count, len)| Op::Append { count, len }),
        1 => (1usize..3, 4000usize..9000).prop_map(|(count, len)| Op::Append { count, len }),
        2 => any::<u8>().prop_map(Op::Vote),
        2 => Just(Op::Committed),
        1 => (0usize..12).prop_map(Op::Truncate),
        2 => (1usize..20).prop_map(Op::Purge),
        1 => (0u64..30).prop_map(Op::PurgeBeyond),
        6 => Just(Op::Step),
        4 => Just(Op::Keep),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        Just(Crash::Process),
        Just(Crash::Power),
        Just(Crash::PowerNothingKept)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Several lives, each ended by a crash at any operation, also while recovering: everything
    /// acknowledged is there, nothing else is but what was asked for, and no crash is damage.
    #[test]
    fn nothing_acknowledged_is_lost(
        seed in any::<u64>(),
        lives in prop::collection::vec(
            (prop::collection::vec(op(), 1..40), 0u64..200, crash()), 1..5),
    ) {
        let disk = MemDisk::new(seed);
        let mut possible = vec![common::Model::default()];
        for (script, freeze_after, crash) in lives {
            disk.freeze_at(disk.operations() + freeze_after);
            if let Ok(mut run) = open(&disk) {
                prop_assert!(!is_damaged(&run.recovered), "{:?}", run.recovered.verdict);
                prop_assert!(possible.contains(run.model()),
                    "found {:?}\nexpected one of {:?}", run.model(), possible);
                prop_assert!(!run.recovered.witness_missing, "the witness survives all crashes");
                for op in &script {
                    run.play(op);
                }
                possible = run.possible().to_vec();
            }
            disk.crash(crash);
        }
        let first = open(&disk).unwrap();
        prop_assert!(possible.contains(first.model()),
            "found {:?}\nexpected one of {:?}", first.model(), possible);
        prop_assert!(!is_damaged(&first.recovered));
        let model = first.model().clone();
        drop(first);
        disk.crash(Crash::PowerNothingKept);
        let again = open(&disk).unwrap();
        prop_assert_eq!(&model, again.model());
        prop_assert!(!is_damaged(&again.recovered));
    }

    /// The same, and then durable bytes change: all is there, or the verdict is damage and what is
    /// returned was once written.
    #[test]
    fn damage_is_never_silent(
        seed in any::<u64>(),
        script in prop::collection::vec(op(), 1..60),
        place in any::<prop::sample::Index>(),
        file in any::<prop::sample::Index>(),
        len in 1usize..64,
        value in any::<u8>(),
    ) {
        let disk = MemDisk::new(seed);
        let mut run = open(&disk).unwrap();
        for op in &script {
            run.play(op);
        }
        run.settle();
        let (expected, history) = (run.model().clone(), run.history.clone());
        drop(run);
        disk.crash(Crash::Process);
        let files = disk.files();
        let path = file.get(&files).clone();
        disk.damage(&path, |bytes| {
            let at = place.index(bytes.len().max(1));
            for byte in bytes.iter_mut().skip(at).take(len) {
                *byte ^= value;
            }
        });
        let mut run = open(&disk).unwrap();
        if is_damaged(&run.recovered) {
            assert_known(run.model(), &history);
        } else {
            prop_assert_eq!(run.model(), &expected);
        }
        // Whatever was found, the log goes on from there.
        run.append(3, 100);
        run.settle();
        let (model, damaged) = (run.model().clone(), is_damaged(&run.recovered));
        drop(run);
        disk.crash(Crash::Power);
        let run = open(&disk).unwrap();
        prop_assert_eq!(run.model(), &model);
        prop_assert_eq!(is_damaged(&run.recovered), damaged);
    }
}
