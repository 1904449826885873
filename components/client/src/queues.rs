//! All work queues and rounds of a process, for its end.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::queue::Queue;
use crate::rounds::Rounds;

/// How often it is asked whether work has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Queues of any kind of names, and rounds that come from none. Cheap to clone.
#[derive(Clone, Default)]
pub struct Queues {
    all: Arc<Mutex<Vec<Box<dyn Closing>>>>,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = self.all.lock().len();
        f.debug_struct("Queues").field("queues", &queues).finish()
    }
}

trait Closing: Send + Sync {
    fn close(&self);
    fn working(&self) -> usize;
    fn check(&self) -> Result<(), String>;
}

impl<T: Clone + Eq + Hash + fmt::Display + Send + Sync> Closing for Queue<T> {
    fn close(&self) {
        Queue::close(self);
    }

    fn working(&self) -> usize {
        Queue::working(self)
    }

    fn check(&self) -> Result<(), String> {
        Queue::check(self)
    }
}

impl Closing for Rounds {
    fn close(&self) {
        Rounds::close(self);
    }

    fn working(&self) -> usize {
        Rounds::working(self)
    }

    fn check(&self) -> Result<(), String> {
        Rounds::check(self)
    }
}

impl Queues {
    pub fn add<T: Clone + Eq + Hash + fmt::Display + Send + Sync + 'static>(
        &self,
        queue: &Queue<T>,
    ) {
        self.all.lock().push(Box::new(queue.clone()));
    }

    pub fn add_rounds(&self, rounds: &Rounds) {
        self.all.lock().push(Box::new(rounds.clone()));
    }

    /// Whether all workers get on and all rounds come.
    ///
    /// # Errors
    /// It names the first queue of which one does not, and what that works on.
    pub fn check(&self) -> Result<(), String> {
        self.all.lock().iter().try_for_each(|queue| queue.check())
    }

    /// Lets no work begin any more, and waits until none is under way.
    pub async fn close(&self) {
        loop {
            let working: usize = {
                let all = self.all.lock();
                // Again each time: a controller may start while others end.
                all.iter().for_each(|queue| queue.close());
                all.iter().map(|queue| queue.working()).sum()
            };
            if working == 0 {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn the_end_waits_for_work_under_way() {
        let queues = Queues::default();
        let queue: Queue<&str> = Queue::new(Metrics::default().queue("test"));
        queues.add(&queue);
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "a");
        let closing = tokio::time::timeout(Duration::from_millis(50), queues.close());
        assert!(closing.await.is_err());
        queue.done(&"a");
        queues.close().await;
        assert_eq!(queue.working(), 0);
    }
}
