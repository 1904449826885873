//! A clock that nobody sets and that goes on while the process is stopped.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Time since the first call; an hour at least, so that moments before it can be told. Linux's monotonic clock
/// stands still only while the whole machine sleeps.
pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed() + Duration::from_secs(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let first = monotonic();
        while monotonic() == first {}
        assert!(monotonic() > first);
    }
}
