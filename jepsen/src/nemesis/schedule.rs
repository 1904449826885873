//! When which nemesis strikes and heals: decided by the seed before anything runs.

use super::Nemesis;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::time::Duration;

/// Before the first strike of a nemesis, milliseconds: soon, so that short runs have one too.
const FIRST_MS: Range<u64> = 100..800;
/// No strike this shortly before the end: it could not show.
const TAIL: Duration = Duration::from_millis(500);

/// Begin or end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It begins.
    Strike,
    /// It ends.
    Heal,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Act {
    /// Since the beginning of the fault phase.
    pub at: Duration,
    /// Who acts.
    pub nemesis: Nemesis,
    /// What it does.
    pub stage: Stage,
}

/// All acts of a run, in order. Every nemesis strikes and heals in turn; different ones overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Strikes and heals.
    pub acts: Vec<Act>,
    /// When the fault phase ends, whatever still acts then.
    pub end: Duration,
}

impl Schedule {
    /// The schedule of a seed.
    pub fn new(nemeses: &[Nemesis], time: Duration, seed: u64) -> Self {
        let mut acts = Vec::new();
        for (index, &nemesis) in nemeses.iter().enumerate() {
            if nemesis == Nemesis::None {
                continue;
            }
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(1 + index as u64));
            let (lasts, rests) = rhythm(nemesis);
            let mut at = millis(&mut rng, &FIRST_MS);
            while at + TAIL < time {
                acts.push(Act {
                    at,
                    nemesis,
                    stage: Stage::Strike,
                });
                let end = (at + millis(&mut rng, &lasts)).min(time);
                acts.push(Act {
                    at: end,
                    nemesis,
                    stage: Stage::Heal,
                });
                at = end + millis(&mut rng, &rests);
            }
        }
        acts.sort();
        Self { acts, end: time }
    }
}

fn millis(rng: &mut StdRng, range: &Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range.clone()))
}

/// How long a nemesis acts, and how long it then rests, milliseconds.
fn rhythm(nemesis: Nemesis) -> (Range<u64>, Range<u64>) {
    match nemesis {
        Nemesis::Kill | Nemesis::KillLeader => (300..3_000, 800..3_000),
        Nemesis::KillAll | Nemesis::Power | Nemesis::PowerAll => (200..1_500, 3_000..6_000),
        Nemesis::PauseLeader | Nemesis::PauseMinority => (500..5_000, 500..3_000),
        // About the election timeout, which is between half a second and a second.
        Nemesis::PartitionFlapping => (300..1_200, 200..1_200),
        Nemesis::Clock => (500..2_000, 300..1_500),
        Nemesis::Eio | Nemesis::DiskFull => (1_500..4_000, 4_000..7_000),
        Nemesis::BitFlip | Nemesis::Truncate => (1_000..3_000, 3_000..6_000),
        Nemesis::Rolling => (1_000..2_000, 1_000..3_000),
        _ => (1_500..6_000, 800..3_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{Nemesis, Schedule, Stage};
    use std::time::Duration;

    #[test]
    fn a_seed_decides_everything_and_every_nemesis_acts() {
        let nemeses = [Nemesis::Kill, Nemesis::PartitionHalves, Nemesis::KillAll];
        let time = Duration::from_secs(5);
        let schedule = Schedule::new(&nemeses, time, 7);
        assert_eq!(schedule, Schedule::new(&nemeses, time, 7));
        assert_ne!(schedule, Schedule::new(&nemeses, time, 8));
        for nemesis in nemeses {
            let stages: Vec<Stage> = schedule
                .acts
                .iter()
                .filter(|act| act.nemesis == nemesis)
                .map(|act| act.stage)
                .collect();
            assert!(
                !stages.is_empty() && stages.len().is_multiple_of(2),
                "{nemesis}"
            );
            assert!(
                stages
                    .chunks(2)
                    .all(|pair| pair == [Stage::Strike, Stage::Heal]),
                "{nemesis}"
            );
        }
        assert!(schedule.acts.iter().all(|act| act.at <= time));
    }

    #[test]
    fn none_does_nothing() {
        assert!(
            Schedule::new(&[Nemesis::None], Duration::from_secs(60), 1)
                .acts
                .is_empty()
        );
    }
}
