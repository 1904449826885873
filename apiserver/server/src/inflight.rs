//! How many requests run at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts of requests that are not streams.
#[derive(Clone, Debug)]
pub(crate) struct Inflight {
    reads: Option<Arc<Semaphore>>,
    writes: Option<Arc<Semaphore>>,
}

impl Inflight {
    /// 0 is no limit.
    pub(crate) fn new(reads: usize, writes: usize) -> Self {
        let limit = |max: usize| {
            let max = max.min(Semaphore::MAX_PERMITS);
            (max > 0).then(|| Arc::new(Semaphore::new(max)))
        };
        Self {
            reads: limit(reads),
            writes: limit(writes),
        }
    }

    /// Room for one more, until the permit is dropped. `Err` when there is none.
    pub(crate) fn enter(&self, read_only: bool) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let limit = if read_only { &self.reads } else { &self.writes };
        match limit {
            None => Ok(None),
            Some(semaphore) => Arc::clone(semaphore)
                .try_acquire_owned()
                .map(Some)
                .map_err(|_| Full),
        }
    }
}

/// Too many requests run already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_until_another_ends() {
        let inflight = Inflight::new(1, 0);
        let first = inflight.enter(true).unwrap();
        assert!(inflight.enter(true).is_err());
        assert!(inflight.enter(false).unwrap().is_none());
        drop(first);
        assert!(inflight.enter(true).is_ok());
    }
}
