//! When what goes wrong.

use super::nemesis::ApiNemesis;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::time::Duration;

/// One strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Act {
    /// Since the begin of the faults.
    pub(super) at: Duration,
    pub(super) until: Duration,
    pub(super) nemesis: ApiNemesis,
}

/// Before the first strike, milliseconds.
const FIRST_MS: Range<u64> = 200..1_500;
/// What is left of the time when no strike begins any more.
const TAIL: Duration = Duration::from_millis(1_500);

/// All strikes in order of their begin. Those of one nemesis do not overlap.
pub(super) fn schedule(nemeses: &[ApiNemesis], time: Duration, seed: u64) -> Vec<Act> {
    let mut acts = Vec::new();
    let real = nemeses.iter().filter(|one| **one != ApiNemesis::None);
    for (index, &nemesis) in real.enumerate() {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(1 + index as u64));
        let (lasts, rests) = rhythm(nemesis);
        let mut at = millis(&mut rng, &FIRST_MS);
        while at + TAIL < time {
            let until = (at + millis(&mut rng, &lasts)).min(time);
            acts.push(Act { at, until, nemesis });
            at = until + millis(&mut rng, &rests);
        }
    }
    acts.sort();
    acts
}

fn millis(rng: &mut StdRng, range: &Range<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range.clone()))
}

/// How long a nemesis acts, and how long it then rests, milliseconds.
fn rhythm(nemesis: ApiNemesis) -> (Range<u64>, Range<u64>) {
    match nemesis {
        // Every few seconds; whoever is dead comes back soon.
        ApiNemesis::Kill | ApiNemesis::Term => (100..1_500, 1_000..3_000),
        ApiNemesis::KillServers => (100..1_000, 3_000..6_000),
        ApiNemesis::Power => (200..1_500, 8_000..14_000),
        ApiNemesis::KillMember | ApiNemesis::KillLeader => (300..3_000, 2_000..5_000),
        ApiNemesis::Compaction => (2_000..6_000, 1_000..3_000),
        _ => (500..6_000, 1_500..4_000),
    }
}

#[cfg(test)]
mod tests {
    use super::schedule;
    use crate::api::ApiNemesis;
    use std::time::Duration;

    #[test]
    fn a_seed_decides_everything_and_every_nemesis_acts() {
        let time = Duration::from_secs(20);
        for &nemesis in ApiNemesis::ALL {
            let acts = schedule(&[nemesis], time, 7);
            assert_eq!(acts, schedule(&[nemesis], time, 7));
            assert_eq!(acts.is_empty(), nemesis == ApiNemesis::None, "{nemesis}");
            assert!(
                acts.iter()
                    .all(|act| act.at < act.until && act.until <= time)
            );
            assert!(acts.windows(2).all(|pair| pair[0].until < pair[1].at));
        }
    }
}
