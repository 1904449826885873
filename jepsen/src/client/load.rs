//! When clients act: at a common rate, until the load ends.

use rand::Rng;
use rand::rngs::StdRng;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// Pace and end of the load, shared by all clients.
#[derive(Clone, Debug)]
pub struct Load {
    /// Mean time between two operations of one client.
    period: Duration,
    running: watch::Receiver<bool>,
}

/// Ends the load.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

impl Load {
    /// `rate` operations per second in all, spread over `clients`; 0 is as fast as each client can.
    pub fn new(rate: u32, clients: usize) -> (Self, Stop) {
        let (sender, running) = watch::channel(true);
        let period = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(clients as f64 / f64::from(rate)),
        };
        (Self { period, running }, Stop(sender))
    }

    /// Whether the load goes on.
    pub fn running(&self) -> bool {
        *self.running.borrow()
    }

    /// Waits until the load has ended.
    pub async fn ended(&self) {
        let mut running = self.running.clone();
        // An error means that the sender is gone, which ends the load too.
        let _ = running.wait_for(|running| !running).await;
    }

    /// Waits for the next turn, counted from the last one, so that a slow answer does not lower the rate. Answers
    /// `false` when the load has ended.
    pub async fn turn(&self, last: &mut Instant, rng: &mut StdRng) -> bool {
        // Between half and three halves of the period: clients do not act in step.
        let next = *last + self.period.mul_f64(rng.random_range(0.5..1.5));
        // Who was held up for long does not make up for it by a burst.
        *last = next.max(Instant::now() - self.period);
        tokio::select! {
            () = self.ended() => false,
            () = sleep_until(next) => true,
        }
    }

    /// Sleeps unless the load ends before; answers whether it goes on.
    pub async fn pause(&self, time: Duration) -> bool {
        timeout(time, self.ended()).await.is_err()
    }
}

impl Stop {
    /// Ends the load: clients finish the operation they are at.
    pub fn stop(&self) {
        self.0.send_replace(false);
    }
}
