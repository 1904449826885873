//! How the runtime is, as far as it says.

use tokio::time::Instant;

use super::object::Health;
use crate::limits::RUNTIME_SILENCE_MAX;

/// What it said last, and when. A runtime that is started anew says nothing for a moment: pods go on meanwhile, and a
/// node that is not ready for it would lose the traffic of all of them.
#[derive(Debug, Default)]
pub(super) struct RuntimeHealth {
    said: Option<(Instant, Health)>,
}

impl RuntimeHealth {
    /// How the node is, by what the runtime said now, or why it did not.
    pub(super) fn judge(&mut self, asked: Result<Health, String>, now: Instant) -> Health {
        match (asked, &self.said) {
            (Ok(health), _) => {
                self.said = Some((now, health.clone()));
                health
            }
            (Err(_), Some((at, health))) if now.duration_since(*at) < RUNTIME_SILENCE_MAX => {
                health.clone()
            }
            (Err(why), _) => Health {
                troubles: vec![why],
                ..Health::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn says(trouble: Option<&str>) -> Result<Health, String> {
        Ok(Health {
            troubles: trouble.into_iter().map(str::to_owned).collect(),
            ..Health::default()
        })
    }

    #[test]
    fn a_node_was_not_ready_as_soon_as_its_runtime_was_started_anew() {
        let mut health = RuntimeHealth::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let silent = || Err("down".to_owned());
        // One that was never there is missed at once.
        assert_eq!(health.judge(silent(), at(0)).troubles, ["down"]);
        assert!(health.judge(says(None), at(1)).troubles.is_empty());
        assert!(health.judge(silent(), at(30)).troubles.is_empty());
        assert_eq!(health.judge(silent(), at(31)).troubles, ["down"]);
        // What it says itself counts at once, and until it says otherwise.
        assert_eq!(health.judge(says(Some("no")), at(40)).troubles, ["no"]);
        assert_eq!(health.judge(silent(), at(41)).troubles, ["no"]);
        assert!(health.judge(says(None), at(42)).troubles.is_empty());
    }
}
