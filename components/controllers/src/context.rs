//! What a controller is given.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use mainstay_client::metrics::Metrics;
use mainstay_client::{Events, Informers, Queue, Queues, Rounds};

use crate::clock::Clock;
use crate::options::Options;

/// Everything a controller has; it knows nothing else.
#[derive(Clone)]
pub struct Context {
    /// Speaks with the credentials of this controller alone.
    pub client: Client,
    /// Shared by all controllers of the process; this part is what one of them asks for.
    pub informers: Arc<Informers>,
    /// Tells events in this controller's name.
    pub events: Events,
    pub metrics: Metrics,
    pub options: Arc<Options>,
    /// By which schedules go.
    pub clock: Clock,
    /// Its queues, which are closed before the process ends.
    pub queues: Queues,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("informers", &self.informers)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A work queue that shows itself in the metrics as `name`.
    #[must_use]
    pub fn queue<T>(&self, name: &str) -> Queue<T>
    where
        T: Clone + Eq + Hash + fmt::Display + Send + Sync + 'static,
    {
        let queue = Queue::new(self.metrics.queue(name));
        self.queues.add(&queue);
        queue
    }

    /// Rounds that come every `period` from now on, beside the queues: an end waits for them, and a health check sees
    /// when they do not come.
    #[must_use]
    pub(crate) fn rounds(&self, name: &'static str, period: Duration) -> Rounds {
        let rounds = Rounds::new(name, period);
        self.queues.add_rounds(&rounds);
        rounds
    }
}
