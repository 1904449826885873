//! How bad it is in each zone, and how fast nodes may be given up there. The rules are those of upstream's controller:
//! a zone that loses many nodes at once has lost its network rather than its nodes, and if nobody is ready anywhere it
//! is the control plane that is cut off.

use std::collections::BTreeMap;

/// What is set from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Nodes a second.
    pub(super) rate: f64,
    /// Nodes a second in a large zone many of whose nodes are not ready.
    pub(super) secondary_rate: f64,
    /// Nodes above which a zone is large.
    pub(super) large: usize,
    /// Share of nodes that are not ready from which on it is many.
    pub(super) unhealthy: f64,
}

/// The nodes of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) ready: usize,
    pub(super) not_ready: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Normal,
    /// Many nodes are not ready.
    Partial,
    /// None is.
    Full,
}

/// What has changed for the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// No node is ready any more: nobody is evicted from now on.
    Stops,
    /// Some node is ready again: evictions go on, and nodes get their time anew.
    Resumes,
    Nothing,
}

#[derive(Debug)]
pub(super) struct Zones {
    rules: Rules,
    counts: BTreeMap<String, Count>,
    stopped: bool,
}

impl Count {
    fn state(self, unhealthy: f64) -> State {
        let all = self.ready + self.not_ready;
        #[expect(clippy::cast_precision_loss, reason = "no cluster has that many nodes")]
        let share = self.not_ready as f64 / all.max(1) as f64;
        match self {
            Count {
                ready: 0,
                not_ready,
            } if not_ready > 0 => State::Full,
            Count { not_ready, .. } if not_ready > 2 && share >= unhealthy => State::Partial,
            _ => State::Normal,
        }
    }
}

impl Zones {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            counts: BTreeMap::new(),
            stopped: false,
        }
    }

    /// Looks at all zones anew.
    pub(super) fn look(&mut self, counts: BTreeMap<String, Count>) -> Turn {
        self.counts = counts;
        let unhealthy = self.rules.unhealthy;
        let mut states = self.counts.values().map(|count| count.state(unhealthy));
        let down = !self.counts.is_empty() && states.all(|state| state == State::Full);
        let was = std::mem::replace(&mut self.stopped, down);
        match (was, down) {
            (false, true) => Turn::Stops,
            (true, false) => Turn::Resumes,
            _ => Turn::Nothing,
        }
    }

    /// Nodes a second that may be given up in a zone.
    pub(super) fn rate(&self, zone: &str) -> f64 {
        let count = self.counts.get(zone).copied().unwrap_or_default();
        let size = count.ready + count.not_ready;
        match count.state(self.rules.unhealthy) {
            _ if self.stopped => 0.0,
            State::Partial if size > self.rules.large => self.rules.secondary_rate,
            State::Partial => 0.0,
            // Others are ready: this zone is gone, and its pods are needed elsewhere.
            State::Full | State::Normal => self.rules.rate,
        }
    }

    /// Whether nobody is to be evicted at all.
    pub(super) fn are_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn counts(&self) -> &BTreeMap<String, Count> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        rate: 0.1,
        secondary_rate: 0.01,
        large: 50,
        unhealthy: 0.55,
    };

    fn look(zones: &mut Zones, counts: &[(&str, usize, usize)]) -> Turn {
        let counts = counts.iter().map(|(zone, ready, not_ready)| {
            let count = Count {
                ready: *ready,
                not_ready: *not_ready,
            };
            ((*zone).to_owned(), count)
        });
        zones.look(counts.collect())
    }

    #[test]
    fn a_zone_is_as_bad_as_its_nodes() {
        for (ready, not_ready, expected) in [
            (0, 0, State::Normal),
            (1, 0, State::Normal),
            (0, 1, State::Full),
            (1, 2, State::Normal),
            (2, 3, State::Partial),
            (3, 3, State::Normal),
            (45, 55, State::Partial),
            (46, 54, State::Normal),
            (0, 100, State::Full),
        ] {
            let count = Count { ready, not_ready };
            assert_eq!(count.state(0.55), expected, "{count:?}");
        }
    }

    #[test]
    fn zones_lose_nodes_at_their_own_rates() {
        let mut zones = Zones::new(RULES);
        let counts = [
            ("fine", 5, 1),
            ("small", 2, 3),
            ("large", 20, 31),
            ("gone", 0, 9),
        ];
        assert_eq!(look(&mut zones, &counts), Turn::Nothing);
        for (zone, rate) in [
            ("fine", 0.1),
            ("small", 0.0),
            ("large", 0.01),
            ("gone", 0.1),
            ("not counted", 0.1),
        ] {
            assert!((zones.rate(zone) - rate).abs() < 1e-9, "{zone}");
        }
    }

    #[test]
    fn nobody_is_evicted_while_no_node_is_ready_anywhere() {
        let mut zones = Zones::new(RULES);
        assert_eq!(look(&mut zones, &[]), Turn::Nothing, "no nodes at all");
        assert_eq!(look(&mut zones, &[("a", 0, 3), ("b", 1, 0)]), Turn::Nothing);
        assert_eq!(look(&mut zones, &[("a", 0, 3), ("b", 0, 1)]), Turn::Stops);
        assert_eq!(look(&mut zones, &[("a", 0, 3), ("b", 0, 1)]), Turn::Nothing);
        assert!(zones.rate("a") <= 0.0 && zones.rate("new") <= 0.0);
        assert_eq!(look(&mut zones, &[("a", 0, 3), ("b", 1, 0)]), Turn::Resumes);
        assert!(zones.rate("a") > 0.0);
    }
}
