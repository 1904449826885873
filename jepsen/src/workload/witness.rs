//! One watcher per member that sees everything, from the first revision to the last.
//!
//! What it receives is the order of events the replay is checked against, and a test of every member's watches under
//! any workload.

use crate::client::{Client, Step, WatchStream};
use crate::limits::PAUSE_AFTER_FAILURE;
use mainstay_check::history::{Blob, WatchRequest};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The revision that must be seen before a witness may end; `None` while the load goes on.
pub type Target = watch::Receiver<Option<i64>>;

/// A running witness.
#[derive(Debug)]
pub struct Witness {
    /// The member it watches.
    pub member: usize,
    task: JoinHandle<i64>,
}

impl Witness {
    /// Starts watching.
    pub fn start(client: Client, target: Target) -> Self {
        Self {
            member: client.member,
            task: tokio::spawn(witness(client, target)),
        }
    }

    /// Waits for its end; the revision up to which it has seen everything.
    pub async fn end(self) -> i64 {
        self.task.await.unwrap_or(0)
    }
}

async fn witness(client: Client, mut target: Target) -> i64 {
    let mut next = 1;
    loop {
        let mut stream = WatchStream::open(&client);
        let request = WatchRequest {
            key: Blob::from_static("\0"),
            end: Blob::from_static("\0"),
            start_revision: next,
            prev_kv: true,
            progress: true,
            filters: Vec::new(),
        };
        let id = stream.watch(&client, request).await;
        loop {
            let step = tokio::select! {
                step = stream.next(&client) => step,
                // An error means that the run is over.
                changed = target.changed() => match changed {
                    Ok(()) => Step::News(id, next - 1),
                    Err(_) => return next - 1,
                },
            };
            next = next.max(stream.resume_at(id));
            match step {
                Step::News(..) => {}
                // What is compacted cannot be seen any more.
                Step::Compacted(_, compacted) => next = next.max(compacted),
                Step::Canceled(_) | Step::Ended => {}
            }
            let wanted = *target.borrow();
            if wanted.is_some_and(|wanted| next > wanted) {
                return next - 1;
            }
            if !matches!(step, Step::News(..)) {
                break;
            }
        }
        sleep(PAUSE_AFTER_FAILURE).await;
    }
}
