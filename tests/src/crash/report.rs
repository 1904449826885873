//! What a crash run did.

use std::fmt;
use std::time::Duration;

/// Counts over all rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rounds completed and verified.
    pub rounds: u32,
    /// Rounds in which the leader was killed.
    pub leader_kills: u32,
    /// Rounds in which all members were killed at once.
    pub total_kills: u32,
    /// Acknowledged writing operations, all found.
    pub acknowledged: u64,
    /// Operations whose outcome the client could not know.
    pub unknown: u64,
    /// Those of the unknown ones that had been carried out.
    pub unknown_applied: u64,
    /// Longest time from killing a leader to the next acknowledged write.
    pub failover_max: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds ({} leader, {} all), {} acknowledged, {} unknown of which {} applied, \
             longest fail-over {:?}",
            self.rounds,
            self.leader_kills,
            self.total_kills,
            self.acknowledged,
            self.unknown,
            self.unknown_applied,
            self.failover_max
        )
    }
}
