//! One run of a controller or of the scheduler, as if it were a process of its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use controllers::{Clock, Context, Options};
use futures_util::future::BoxFuture;
use kube::Config;
use kube::client::ClientBuilder;
use mainstay_client::metrics::Metrics;
use mainstay_client::{Events, Informers, Queues};
use mainstay_tests::wait_until;
use tokio::runtime::{Builder, Runtime};

use crate::faults::Faults;

/// Starts a controller.
pub trait Start: FnOnce(Context) -> BoxFuture<'static, ()> + Clone + Send + 'static {}

impl<F> Start for F where F: FnOnce(Context) -> BoxFuture<'static, ()> + Clone + Send + 'static {}

/// A controller with a runtime of its own: dropping it ends everything at once, wherever it is.
pub struct Instance {
    runtime: Option<Runtime>,
    pub faults: Faults,
    metrics: Metrics,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Instance {
    #[must_use]
    pub fn start(config: &Config, start: impl Start, faults: Faults) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("controller")
            .enable_all()
            .build()
            .unwrap();
        let metrics = Metrics::default();
        let config = config.clone();
        let (shown, through) = (metrics.clone(), faults.clone());
        runtime.spawn(async move {
            let builder = ClientBuilder::try_from(config).unwrap();
            let client = builder.with_layer(&through).build();
            let cx = Context {
                informers: Arc::new(Informers::new(client.clone())),
                events: Events::start(client.clone(), "under-test"),
                client,
                metrics: shown,
                options: Arc::new(Options::default()),
                clock: Clock::default(),
                queues: Queues::default(),
            };
            start(cx).await;
        });
        Self {
            runtime: Some(runtime),
            faults,
            metrics,
        }
    }

    /// A figure, summed up over its labels.
    #[must_use]
    pub fn figure(&self, metric: &str) -> u64 {
        sum(&self.metrics.text(), metric)
    }

    /// Waits until it has looked at everything `times` more, which `metric` counts.
    pub async fn looks_again(&self, metric: &str, times: u64) {
        let goal = self.figure(metric) + times;
        wait_until("it looks again", Duration::from_secs(20), async || {
            (self.figure(metric) >= goal).then_some(())
        })
        .await;
    }

    /// What its page of metrics would show.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }

    /// Waits until it has worked on something, and on everything it has been told of.
    pub async fn idle(&self) {
        wait_until(
            "the controller is idle",
            Duration::from_secs(20),
            async || {
                let text = self.metrics.text();
                let added = sum(&text, "workqueue_adds_total{");
                let worked = sum(&text, "workqueue_work_duration_seconds_count{");
                let controller = added > 0 && added == worked;
                (controller || is_idle_scheduler(&text)).then_some(())
            },
        )
        .await;
    }
}

/// It has seen the cluster, and every pod that it may try has a node or none that suits.
fn is_idle_scheduler(text: &str) -> bool {
    let zeros = [
        "scheduler_goroutines{operation=\"binding\"} 0\n",
        "scheduler_pending_pods{queue=\"active\"} 0\n",
        "scheduler_pending_pods{queue=\"backoff\"} 0\n",
    ];
    zeros.iter().all(|line| text.contains(line))
}

fn sum(text: &str, metric: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(metric));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}
