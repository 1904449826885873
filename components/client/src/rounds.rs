//! Work that comes again by the clock and not from a queue.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::WORK_STUCK;

/// Rounds of one task, one after another. Cheap to clone.
#[derive(Clone)]
pub struct Rounds {
    name: &'static str,
    /// From one round to the next.
    period: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    /// When the last one began; before the first one, when the task did.
    begun: Instant,
    under_way: usize,
    closed: bool,
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rounds({} every {:?})", self.name, self.period)
    }
}

/// A round, until it has ended or is dropped.
struct UnderWay<'a>(&'a Mutex<State>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

impl Rounds {
    /// The first round is due within `period` from now.
    #[must_use]
    pub fn new(name: &'static str, period: Duration) -> Self {
        Self {
            name,
            period,
            state: Arc::new(Mutex::new(State {
                begun: Instant::now(),
                under_way: 0,
                closed: false,
            })),
        }
    }

    /// Does the work of one round; waits for ever once these are closed.
    pub async fn round<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(_under_way) = self.begin(Instant::now()) else {
            return std::future::pending().await;
        };
        work.await
    }

    fn begin(&self, now: Instant) -> Option<UnderWay<'_>> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.begun = now;
        state.under_way += 1;
        Some(UnderWay(&self.state))
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Rounds under way.
    pub(crate) fn working(&self) -> usize {
        self.state.lock().under_way
    }

    /// # Errors
    /// When no round has begun for [`WORK_STUCK`] longer than it should be: one does not end, or none comes.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.judge(Instant::now())
    }

    fn judge(&self, now: Instant) -> Result<(), String> {
        let late = now - self.state.lock().begun;
        match late >= self.period + WORK_STUCK {
            true => Err(format!("{}: no round for {} s", self.name, late.as_secs())),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_that_does_not_end_or_does_not_come_was_not_seen_to_be_stuck() {
        let rounds = Rounds::new("monitor", Duration::from_secs(5));
        let start = rounds.state.lock().begun;
        let at = |seconds| start + Duration::from_secs(seconds);
        let late = 5 + WORK_STUCK.as_secs();
        assert_eq!(rounds.judge(at(late - 1)), Ok(()));
        assert!(rounds.judge(at(late)).is_err(), "none has come");
        let round = rounds.begin(at(late));
        assert_eq!(rounds.judge(at(2 * late - 1)), Ok(()));
        let told = rounds.judge(at(2 * late));
        assert_eq!(told, Err("monitor: no round for 605 s".to_owned()));
        drop(round);
        drop(rounds.begin(at(2 * late)));
        assert_eq!(rounds.judge(at(2 * late)), Ok(()));
    }

    #[tokio::test]
    async fn the_end_waits_for_a_round_and_lets_none_begin() {
        let rounds = Rounds::new("monitor", Duration::from_secs(5));
        let round = rounds.begin(Instant::now());
        rounds.close();
        assert_eq!(rounds.working(), 1);
        drop(round);
        assert_eq!(rounds.working(), 0);
        let begun = rounds.round(std::future::ready(()));
        let begun = tokio::time::timeout(Duration::ZERO, begun).await;
        assert!(begun.is_err());
        assert_eq!(rounds.working(), 0);
    }
}
