//! What time it is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// The time of the day for what goes by it, as schedules do; pauses and deadlines of requests do not. Clones are the
/// same clock.
#[derive(Clone, Default)]
pub struct Clock {
    /// Milliseconds.
    ahead: Arc<AtomicI64>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

impl Clock {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead.load(Ordering::SeqCst));
        let now = Timestamp::now();
        now.checked_add(ahead).unwrap_or(now)
    }

    /// From now on it is this much later than the system's clock says; what waits for a time is not woken.
    pub fn set_ahead(&self, ahead: SignedDuration) {
        let millis = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        self.ahead.store(millis, Ordering::SeqCst);
    }
}
