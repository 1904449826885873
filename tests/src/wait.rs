//! Waiting on conditions.

use crate::limits::POLL_INTERVAL;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Polls `probe` until it yields a value; panics, naming `what`, once `deadline` has passed.
pub async fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Ok(Some(value)) = tokio::time::timeout_at(end, probe()).await {
            return value;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        sleep(POLL_INTERVAL).await;
    }
}
