//! Room for requests that are passed on, and their end with the server's.

use std::sync::Arc;

use mainstay_machinery::status::StatusError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::limits::{PASSED_ON_MAX, RETRY_AFTER_SECONDS};

/// A place among the requests that are passed on, until it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// Counts requests that are passed on.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    ending: watch::Receiver<bool>,
}

impl Room {
    /// `ending` becomes true when the server ends.
    pub(crate) fn new(ending: watch::Receiver<bool>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(PASSED_ON_MAX)),
            ending,
        }
    }

    /// Room for one more.
    pub(crate) fn enter(&self) -> Result<Place, StatusError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let text = "Too many requests, please try again later.";
            StatusError::too_many_requests(text, RETRY_AFTER_SECONDS)
        })
    }

    /// Returns when the server ends.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut ending = self.ending.clone();
        async move {
            // Nobody to tell it any more is the end, too.
            let _ = ending.wait_for(|ends| *ends).await;
        }
    }

    /// Returns when nothing is passed on any more.
    pub(crate) async fn empty(&self) {
        let all = u32::try_from(PASSED_ON_MAX).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }
}
