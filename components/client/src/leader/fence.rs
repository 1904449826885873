//! Writes are refused here once somebody else may lead.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::monotonic;

/// The time within which a process may write, known to all its clients.
///
/// A leader that was stopped past the end of its lease does not know it when it wakes: whatever it had decided goes
/// on. So every mutating request is asked here at the last moment. The fence is open until the *start* of the last
/// renewal that succeeded plus the duration of the lease, less a margin: others count the duration from when they
/// saw the renewal, which is later. It is measured by a clock that goes on while the process does not.
#[derive(Clone)]
pub struct Fence {
    state: Arc<State>,
}

struct State {
    /// Nanoseconds of the clock; 0 while this process does not lead.
    until: AtomicU64,
    /// Closed for good.
    ended: AtomicBool,
    writing: AtomicUsize,
    idle: Notify,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence")
            .field("open", &self.is_open())
            .field("writing", &self.state.writing.load(Ordering::SeqCst))
            .finish()
    }
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent: another instance may be the leader by now")]
pub struct Fenced;

/// A write under way.
#[derive(Debug)]
pub(crate) struct Writing {
    fence: Fence,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let state = &self.fence.state;
        if state.writing.fetch_sub(1, Ordering::SeqCst) == 1 {
            state.idle.notify_waiters();
        }
    }
}

impl Fence {
    /// Open for a process that need not be elected.
    #[must_use]
    pub fn open() -> Self {
        Self::until(u64::MAX)
    }

    /// Closed until this process is elected.
    #[must_use]
    pub fn closed() -> Self {
        Self::until(0)
    }

    fn until(until: u64) -> Self {
        Self {
            state: Arc::new(State {
                until: AtomicU64::new(until),
                ended: AtomicBool::new(false),
                writing: AtomicUsize::new(0),
                idle: Notify::new(),
            }),
        }
    }

    /// Whether writes are let through now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let until = self.state.until.load(Ordering::SeqCst);
        !self.state.ended.load(Ordering::SeqCst)
            && (until == u64::MAX || nanos(monotonic()) < until)
    }

    /// Opens until that time of the clock.
    pub(crate) fn extend(&self, until: Duration) {
        self.state.until.store(nanos(until), Ordering::SeqCst);
    }

    /// Closes for good.
    pub fn close(&self) {
        self.state.ended.store(true, Ordering::SeqCst);
    }

    /// Waits until no write is under way. Makes sense after [`Fence::close`].
    pub async fn drained(&self) {
        loop {
            let mut idle = std::pin::pin!(self.state.idle.notified());
            idle.as_mut().enable();
            if self.state.writing.load(Ordering::SeqCst) == 0 {
                return;
            }
            idle.await;
        }
    }

    pub(crate) fn enter(&self) -> Result<Writing, Fenced> {
        // Counted before it is asked: who closes and then looks at the count misses nobody.
        self.state.writing.fetch_add(1, Ordering::SeqCst);
        let writing = Writing {
            fence: self.clone(),
        };
        match self.is_open() {
            true => Ok(writing),
            false => Err(Fenced),
        }
    }

    /// Whether a request failed because it was refused here.
    #[must_use]
    pub fn refused(error: &kube::Error) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.is::<Fenced>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_until_its_time_and_never_after_it_was_closed() {
        let fence = Fence::closed();
        assert_eq!(fence.enter().map(drop), Err(Fenced));
        fence.extend(monotonic() + Duration::from_secs(60));
        assert!(fence.enter().is_ok());
        fence.extend(monotonic().saturating_sub(Duration::from_millis(1)));
        assert_eq!(fence.enter().map(drop), Err(Fenced));
        fence.extend(monotonic() + Duration::from_secs(60));
        fence.close();
        fence.extend(monotonic() + Duration::from_secs(60));
        assert!(!fence.is_open(), "a late renewal does not open it again");
        let free = Fence::open();
        assert!(free.is_open());
        free.close();
        assert!(!free.is_open());
    }

    #[tokio::test]
    async fn who_ends_waits_for_writes_under_way() {
        let fence = Fence::open();
        let first = fence.enter().expect("it is open");
        let second = fence.enter().expect("it is open");
        fence.close();
        let other = fence.clone();
        let waiting = tokio::spawn(async move { other.drained().await });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.expect("it does not panic");
    }

    #[test]
    fn a_refusal_is_known_within_kubes_error() {
        let error = kube::Error::Service(Box::new(Fenced));
        assert!(Fence::refused(&error));
        let other = kube::Error::Service("no".into());
        assert!(!Fence::refused(&other));
    }
}
