//! Names to work on: each at most once at a time, however often it is asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::limits::WORK_STUCK;
use crate::metrics::QueueMetrics;
use crate::pace::Pace;

/// A work queue as client-go's: what is put in while it waits is there once; what is put in while it is worked on
/// comes again afterwards; work that failed comes again after a pause that grows. It holds no more than there are
/// different names, which is what bounds it.
pub struct Queue<T> {
    inner: Arc<Inner<T>>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

struct Inner<T> {
    state: Mutex<State<T>>,
    /// Something can be taken, or the earliest delay has changed.
    changed: Notify,
    metrics: QueueMetrics,
}

struct State<T> {
    ready: VecDeque<(T, Instant)>,
    /// Waits in `ready`, or shall wait there once it is no longer worked on.
    dirty: HashSet<T>,
    working: HashMap<T, Instant>,
    /// When a name becomes ready; `delays` may hold older, later moments that no longer count.
    delayed: HashMap<T, Instant>,
    delays: BinaryHeap<Reverse<(Instant, u64)>>,
    delayed_names: HashMap<u64, T>,
    numbers: u64,
    pace: Pace<T>,
    closed: bool,
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("Queue")
            .field("ready", &state.ready.len())
            .field("working", &state.working.len())
            .field("delayed", &state.delayed.len())
            .finish_non_exhaustive()
    }
}

impl<T: Clone + Eq + Hash> Queue<T> {
    /// `metrics` has the name under which the queue shows itself.
    #[must_use]
    pub fn new(metrics: QueueMetrics) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(State {
                    ready: VecDeque::new(),
                    dirty: HashSet::new(),
                    working: HashMap::new(),
                    delayed: HashMap::new(),
                    delays: BinaryHeap::new(),
                    delayed_names: HashMap::new(),
                    numbers: 0,
                    pace: Pace::new(Instant::now()),
                    closed: false,
                }),
                changed: Notify::new(),
                metrics,
            }),
        }
    }

    /// To be worked on now.
    pub fn add(&self, item: T) {
        let added = self.inner.state.lock().add(item, Instant::now());
        if added {
            self.inner.metrics.added();
            self.inner.changed.notify_one();
        }
    }

    /// To be worked on after `delay`; the earliest of several delays counts.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        let earlier = self.inner.state.lock().delay(item, Instant::now() + delay);
        if earlier {
            self.inner.changed.notify_one();
        }
    }

    /// To be worked on again after a failure.
    pub fn retry(&self, item: T) {
        let delay = self.inner.state.lock().pace.failed(&item, Instant::now());
        self.inner.metrics.retried();
        self.add_after(item, delay);
    }

    /// Failures in a row of a name.
    #[must_use]
    pub fn failures(&self, item: &T) -> u32 {
        self.inner.state.lock().pace.failures(item)
    }

    /// The next failure of a name is its first one again.
    pub fn forget(&self, item: &T) {
        self.inner.state.lock().pace.forget(item);
    }

    /// What can be worked on now, without what waits for a delay or is being worked on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.state.lock().ready.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives out no more names: whoever asks for the next one waits for ever.
    pub fn close(&self) {
        self.inner.state.lock().closed = true;
    }

    /// Names that are worked on now.
    #[must_use]
    pub fn working(&self) -> usize {
        self.inner.state.lock().working.len()
    }

    /// The next name; nobody else gets it until [`Queue::done`].
    pub async fn next(&self) -> T {
        loop {
            let changed = self.inner.changed.notified();
            let (taken, wake) = self.take();
            if let Some(item) = taken {
                return item;
            }
            match wake {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    fn take(&self) -> (Option<T>, Option<Instant>) {
        let now = Instant::now();
        let mut state = self.inner.state.lock();
        if state.closed {
            return (None, None);
        }
        let due = state.release(now);
        let taken = state.take(now);
        let more = !state.ready.is_empty();
        let wake = state.delays.peek().map(|Reverse((at, _))| *at);
        drop(state);
        (0..due).for_each(|_| self.inner.metrics.added());
        // Whoever waits beside this one was told of one name, and several were due.
        if more {
            self.inner.changed.notify_one();
        }
        let (item, waited) = taken.map_or((None, None), |(item, since)| (Some(item), Some(since)));
        if let Some(since) = waited {
            self.inner.metrics.taken(now - since);
        }
        (item, wake)
    }

    /// Ends the work on a name that [`Queue::next`] gave out.
    pub fn done(&self, item: &T) {
        let now = Instant::now();
        let mut state = self.inner.state.lock();
        let since = state.working.remove(item);
        let again = state.dirty.contains(item);
        if again {
            state.ready.push_back((item.clone(), now));
        }
        drop(state);
        if let Some(since) = since {
            self.inner.metrics.worked(now - since);
        }
        if again {
            self.inner.changed.notify_one();
        }
    }
}

impl<T: Clone + Eq + Hash + fmt::Display> Queue<T> {
    /// Whether all workers get on.
    ///
    /// # Errors
    /// It names what one has worked on for [`WORK_STUCK`] and longer.
    pub fn check(&self) -> Result<(), String> {
        match self.inner.state.lock().stuck(Instant::now()) {
            Some(item) => Err(format!("{}: stuck with {item}", self.inner.metrics.name())),
            None => Ok(()),
        }
    }
}

impl<T: Clone + Eq + Hash + fmt::Display + Send + Sync + 'static> Queue<T> {
    /// Works for ever with `workers` tasks, which end when this is dropped. An error is logged and the name is tried
    /// again after a pause; `Ok(Some(after))` asks for it again later.
    pub async fn work<F, W, E>(&self, workers: usize, work: F)
    where
        F: Fn(T) -> W + Clone + Send + 'static,
        W: Future<Output = Result<Option<Duration>, E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let mut all = JoinSet::new();
        for _ in 0..workers {
            all.spawn(self.clone().work_one(work.clone()));
        }
        // They end by panics only.
        while let Some(ended) = all.join_next().await {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// As [`Queue::work`], with an owner that all rounds share.
    pub async fn work_for<C, F, W, E>(&self, owner: &Arc<C>, workers: usize, work: F)
    where
        C: Send + Sync + 'static,
        F: Fn(Arc<C>, T) -> W + Clone + Send + 'static,
        W: Future<Output = Result<Option<Duration>, E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let owner = Arc::clone(owner);
        self.work(workers, move |item| work(Arc::clone(&owner), item))
            .await;
    }

    async fn work_one<F, W, E>(self, work: F)
    where
        F: Fn(T) -> W,
        W: Future<Output = Result<Option<Duration>, E>>,
        E: fmt::Display,
    {
        loop {
            let item = self.next().await;
            match work(item.clone()).await {
                Ok(again) => {
                    self.forget(&item);
                    if let Some(after) = again {
                        self.add_after(item.clone(), after);
                    }
                }
                Err(error) => {
                    tracing::info!(queue = self.inner.metrics.name(), "{item}: {error}");
                    self.retry(item.clone());
                }
            }
            self.done(&item);
        }
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    /// Whether the name was not waiting before.
    fn add(&mut self, item: T, now: Instant) -> bool {
        if !self.dirty.insert(item.clone()) {
            return false;
        }
        if !self.working.contains_key(&item) {
            self.ready.push_back((item, now));
        }
        true
    }

    /// Whether this is the earliest of all delays now.
    fn delay(&mut self, item: T, at: Instant) -> bool {
        if self.delayed.get(&item).is_some_and(|known| *known <= at) {
            return false;
        }
        self.delayed.insert(item.clone(), at);
        self.numbers += 1;
        self.delays.push(Reverse((at, self.numbers)));
        self.delayed_names.insert(self.numbers, item);
        self.delays
            .peek()
            .is_some_and(|Reverse((_, number))| *number == self.numbers)
    }

    /// Makes ready what is due and returns how many were added by it.
    fn release(&mut self, now: Instant) -> usize {
        let mut added = 0;
        while let Some(Reverse((at, number))) = self.delays.peek().copied() {
            if at > now {
                break;
            }
            self.delays.pop();
            let Some(item) = self.delayed_names.remove(&number) else {
                continue;
            };
            if self.delayed.get(&item) == Some(&at) {
                self.delayed.remove(&item);
                added += usize::from(self.add(item, now));
            }
        }
        added
    }

    /// What has been worked on for too long.
    fn stuck(&self, now: Instant) -> Option<&T> {
        let longest = self.working.iter().min_by_key(|(_, since)| **since);
        let (item, since) = longest?;
        (now - *since >= WORK_STUCK).then_some(item)
    }

    fn take(&mut self, now: Instant) -> Option<(T, Instant)> {
        let (item, since) = self.ready.pop_front()?;
        self.dirty.remove(&item);
        self.working.insert(item.clone(), now);
        Some((item, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn queue() -> Queue<&'static str> {
        Queue::new(Metrics::default().queue("test"))
    }

    async fn now(queue: &Queue<&'static str>) -> Option<&'static str> {
        tokio::time::timeout(Duration::ZERO, queue.next())
            .await
            .ok()
    }

    #[tokio::test]
    async fn a_name_is_there_once_and_with_one_worker_at_a_time() {
        let queue = queue();
        queue.add("a");
        queue.add("b");
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, "b");
        assert_eq!(now(&queue).await, None, "a is being worked on");
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
        queue.done(&"a");
        queue.done(&"b");
        assert_eq!(now(&queue).await, None);
    }

    #[test]
    fn the_earliest_delay_counts() {
        let queue = queue();
        let mut state = queue.inner.state.lock();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(state.delay("a", at(60)));
        assert!(state.delay("b", at(30)), "earlier than a");
        assert!(state.delay("a", at(10)));
        assert!(!state.delay("a", at(20)), "a comes earlier already");
        let mut due = |seconds| {
            state.release(at(seconds));
            state.take(at(seconds)).map(|(item, _)| item)
        };
        let times = [9, 10, 29, 30, 61, 600];
        let seen: Vec<_> = times.into_iter().map(&mut due).collect();
        assert_eq!(seen, [None, Some("a"), None, Some("b"), None, None]);
    }

    #[tokio::test]
    async fn work_that_fails_comes_again_and_work_that_asks_for_it_too() {
        let queue = queue();
        queue.add("fails twice");
        queue.add("asks");
        let (calls, mut called) = tokio::sync::mpsc::unbounded_channel();
        let count = Arc::new(Mutex::new(HashMap::new()));
        let work = queue.work(2, move |item: &'static str| {
            let _ = calls.send((item, Instant::now()));
            let mut count = count.lock();
            let times = count.entry(item).or_insert(0);
            *times += 1;
            std::future::ready(match (item, *times) {
                ("fails twice", 1 | 2) => Err("no"),
                ("asks", 1) => Ok(Some(Duration::from_millis(50))),
                _ => Ok(None),
            })
        });
        let mut times: HashMap<_, Vec<Instant>> = HashMap::new();
        let seen = async {
            for _ in 0..5 {
                let (item, at) = called.recv().await.expect("work goes on");
                times.entry(item).or_default().push(at);
            }
        };
        tokio::select! {
            () = work => {}
            () = seen => {}
        }
        let gaps = |item| {
            let times: &[Instant] = &times[item];
            let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
            gaps.collect::<Vec<_>>()
        };
        let failed = gaps("fails twice");
        assert_eq!(failed.len(), 2);
        assert!(failed[0] >= Duration::from_millis(5), "{failed:?}");
        assert!(failed[1] >= Duration::from_millis(10), "{failed:?}");
        let asked = gaps("asks");
        assert_eq!(asked.len(), 1);
        assert!(asked[0] >= Duration::from_millis(50), "{asked:?}");
    }

    #[tokio::test]
    async fn a_closed_queue_lets_work_end_and_begins_none() {
        let queue = queue();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("b");
        queue.close();
        assert_eq!(now(&queue).await, None);
        assert_eq!(queue.working(), 1);
        queue.done(&"a");
        assert_eq!(queue.working(), 0);
    }

    #[test]
    fn what_is_worked_on_for_too_long_is_named() {
        let queue = queue();
        let mut state = queue.inner.state.lock();
        let start = Instant::now();
        state.add("slow", start);
        assert!(state.take(start).is_some());
        let later = start + WORK_STUCK;
        state.add("quick", later);
        assert!(state.take(later).is_some());
        assert_eq!(state.stuck(later - Duration::from_millis(1)), None);
        assert_eq!(state.stuck(later), Some(&"slow"));
        state.working.remove("slow");
        assert_eq!(state.stuck(later), None);
    }

    #[tokio::test]
    async fn all_that_wait_are_woken_when_several_names_are_due_at_once() {
        let queue = queue();
        for item in ["a", "b", "c"] {
            queue.add_after(item, Duration::from_millis(20));
        }
        let (a, b, c) = tokio::join!(queue.next(), queue.next(), queue.next());
        let mut got = [a, b, c];
        got.sort_unstable();
        assert_eq!(got, ["a", "b", "c"]);
    }
}
