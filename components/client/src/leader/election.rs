//! Who leads, as far as one candidate can tell. No clock and no I/O: what was read and when is passed in.

use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;

/// What one candidate knows, by client-go's rules: a lease is another's for as long as it lasts since it was last
/// *seen to change*, by the candidate's own clock. The times written in it are for people.
#[derive(Debug)]
pub(crate) struct Election {
    me: String,
    seconds: i32,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    record: Record,
    at: Duration,
}

/// What to do about a lease that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another one leads.
    Wait,
    /// To be written if it is still the one that was read.
    Write(Record),
}

impl Election {
    pub(crate) fn new(me: &str, seconds: i32) -> Self {
        Self {
            me: me.to_owned(),
            seconds,
            seen: None,
        }
    }

    /// The lease was read, or written by this candidate.
    pub(crate) fn saw(&mut self, record: Record, now: Duration) {
        if self.seen.as_ref().is_none_or(|seen| seen.record != record) {
            self.seen = Some(Seen { record, at: now });
        }
    }

    /// Whether the lease named this candidate when it was seen last.
    pub(crate) fn leads(&self) -> bool {
        self.holder() == Some(&self.me)
    }

    pub(crate) fn holder(&self) -> Option<&String> {
        self.seen.as_ref().map(|seen| &seen.record.holder)
    }

    fn is_valid(&self, now: Duration) -> bool {
        let seen = self.seen.as_ref();
        seen.is_some_and(|seen| seen.at + seen.record.duration() > now)
    }

    /// The lease that nobody has made yet.
    pub(crate) fn first(&self, wall: Timestamp) -> Record {
        Record {
            holder: self.me.clone(),
            seconds: self.seconds,
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: 0,
        }
    }

    /// What a leader writes without reading first.
    pub(crate) fn renewal(&self, now: Duration, wall: Timestamp) -> Option<Record> {
        let may = self.leads() && self.is_valid(now);
        may.then(|| self.written(wall))
    }

    /// After the lease was read.
    pub(crate) fn decide(&self, now: Duration, wall: Timestamp) -> Decision {
        let held = self.holder().is_some_and(|holder| !holder.is_empty());
        match held && !self.leads() && self.is_valid(now) {
            true => Decision::Wait,
            false => Decision::Write(self.written(wall)),
        }
    }

    fn written(&self, wall: Timestamp) -> Record {
        let mut record = self.first(wall);
        if let Some(Seen { record: old, .. }) = &self.seen {
            record.transitions = old.transitions;
            if self.leads() {
                record.acquired = old.acquired;
            } else {
                record.transitions = old.transitions.saturating_add(1);
            }
        }
        record
    }

    /// What a leader leaves behind that stops cleanly: the next one need not wait.
    pub(crate) fn released(&self, wall: Timestamp) -> Option<Record> {
        let seen = self.seen.as_ref().filter(|_| self.leads())?;
        Some(Record {
            holder: String::new(),
            seconds: 1,
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: seen.record.transitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is in range")
    }

    fn record(holder: &str, acquired: i64, renewed: i64, transitions: i32) -> Record {
        Record {
            holder: holder.to_owned(),
            seconds: match holder {
                "" => 1,
                _ => 15,
            },
            acquired: Some(wall(acquired)),
            renewed: Some(wall(renewed)),
            transitions,
        }
    }

    const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    /// Reads the lease at these moments of the own clock, then decides; the wall clock says 1000.
    fn decided(reads: &[(u64, Record)], now: u64) -> Decision {
        let mut election = Election::new("me", 15);
        for (second, record) in reads {
            election.saw(record.clone(), at(*second));
        }
        election.decide(at(now), wall(1000))
    }

    #[test]
    fn who_may_write_what() {
        let other = || record("other", 1, 2, 3);
        let taken = || Decision::Write(record("me", 1000, 1000, 4));
        let cases = [
            (
                "it is another's and fresh",
                vec![(0, other())],
                14,
                Decision::Wait,
            ),
            (
                "it has lasted since it was seen",
                vec![(0, other())],
                15,
                taken(),
            ),
            (
                "seeing the same again renews nothing",
                vec![(0, other()), (10, other())],
                15,
                taken(),
            ),
            (
                "a renewal counts from when it was seen",
                vec![(0, other()), (10, record("other", 1, 12, 3))],
                24,
                Decision::Wait,
            ),
            (
                "times in it count for nothing",
                vec![(0, record("other", 1, 999_999, 3))],
                15,
                taken(),
            ),
            (
                "it was released",
                vec![(0, record("", 1, 2, 3))],
                0,
                taken(),
            ),
            (
                "its own, renewed",
                vec![(0, record("me", 1, 2, 3))],
                1,
                Decision::Write(record("me", 1, 1000, 3)),
            ),
            (
                "its own, late, and nobody else's meanwhile",
                vec![(0, record("me", 1, 2, 3))],
                100,
                Decision::Write(record("me", 1, 1000, 3)),
            ),
            (
                "lost while it was stopped",
                vec![
                    (0, record("me", 1, 2, 3)),
                    (100, record("other", 50, 99, 4)),
                ],
                100,
                Decision::Wait,
            ),
            (
                "a lease that was made by hand, without a holder",
                vec![(0, Record::default())],
                0,
                Decision::Write(record("me", 1000, 1000, 1)),
            ),
        ];
        for (name, reads, now, expected) in cases {
            assert_eq!(decided(&reads, now), expected, "{name}");
        }
    }

    #[test]
    fn only_a_leader_whose_lease_lasts_writes_without_reading() {
        let mut election = Election::new("me", 15);
        assert_eq!(election.renewal(at(0), wall(1)), None);
        assert_eq!(election.first(wall(1)), record("me", 1, 1, 0));
        election.saw(record("me", 1, 1, 0), at(0));
        assert_eq!(
            election.renewal(at(14), wall(15)),
            Some(record("me", 1, 15, 0))
        );
        assert_eq!(election.renewal(at(15), wall(16)), None);
        election.saw(record("other", 20, 20, 1), at(20));
        assert_eq!(election.renewal(at(20), wall(20)), None);
        assert_eq!(
            election.released(wall(20)),
            None,
            "it is not its to release"
        );
    }

    #[test]
    fn a_clean_stop_clears_the_holder_for_a_second() {
        let mut election = Election::new("me", 15);
        election.saw(record("me", 1, 5, 7), at(0));
        let released = election.released(wall(9)).expect("it leads");
        assert_eq!(released, record("", 9, 9, 7));
        election.saw(released, at(1));
        assert!(!election.leads());
    }
}
