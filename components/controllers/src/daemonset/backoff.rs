//! How fast pods that fail are replaced: a kubelet that refuses a pod would refuse the next one at once.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{FAILED_PAUSE_MAX, FAILED_PAUSE_MIN};

/// Pauses by daemon set and node.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<(String, String), Entry>>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    pause: Duration,
    since: Instant,
}

impl Entry {
    /// Without failures for so long, the next one is the first again.
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) > 2 * FAILED_PAUSE_MAX
    }
}

impl Backoff {
    /// Whether a pod that failed may be replaced now, which doubles the pause; or how long to wait.
    pub(super) fn pass(&self, set: &str, node: &str, now: Instant) -> Result<(), Duration> {
        let mut entries = self.0.lock();
        entries.retain(|_, entry| !entry.is_over(now));
        let key = (set.to_owned(), node.to_owned());
        let pause = match entries.get(&key) {
            None => FAILED_PAUSE_MIN,
            Some(entry) if now.duration_since(entry.since) < entry.pause => {
                return Err(entry.pause - now.duration_since(entry.since));
            }
            Some(entry) => (entry.pause * 2).min(FAILED_PAUSE_MAX),
        };
        entries.insert(key, Entry { pause, since: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let backoff = Backoff::default();
        let start = Instant::now();
        let later = start + FAILED_PAUSE_MIN;
        let much_later = later + 3 * FAILED_PAUSE_MAX;
        for (what, node, now, expected) in [
            ("the first", "n1", start, Ok(())),
            ("again", "n1", start, Err(FAILED_PAUSE_MIN)),
            ("another node", "n2", start, Ok(())),
            ("after the pause", "n1", later, Ok(())),
            ("again", "n1", later, Err(2 * FAILED_PAUSE_MIN)),
            ("long after", "n1", much_later, Ok(())),
            ("as at first", "n1", much_later, Err(FAILED_PAUSE_MIN)),
        ] {
            assert_eq!(backoff.pass("set", node, now), expected, "{what}");
        }
    }
}
