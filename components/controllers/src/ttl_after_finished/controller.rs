//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::DeleteParams;
use mainstay_client::{Change, Informer, Key, Queue, delete_unchanged};

use crate::context::Context;
use crate::job::finished;

/// Deletes jobs whose time after their end is over.
pub async fn ttl_after_finished(cx: Context) {
    let controller = Controller {
        jobs: cx.informers.of(),
        queue: cx.queue("ttl_jobs_to_delete"),
        cx,
    };
    Arc::new(controller).run().await;
}

struct Controller {
    cx: Context,
    jobs: Arc<Informer<Job>>,
    queue: Queue<Key>,
}

/// Time that is left to a job; `None` if it is not to go.
fn remaining(job: &Job, now: Timestamp) -> Option<Duration> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    if job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ended = finished(job)?.last_transition_time.as_ref()?;
    let expires = ended
        .0
        .checked_add(SignedDuration::from_secs(i64::from(ttl)));
    let left = expires.ok()?.duration_since(now);
    Some(Duration::try_from(left).unwrap_or(Duration::ZERO))
}

impl Controller {
    async fn run(self: Arc<Self>) {
        let queue = self.queue.clone();
        self.jobs.on(move |change| {
            let job = change.object();
            if !matches!(change, Change::Deleted(_))
                && let Some(left) = remaining(job, Timestamp::now())
            {
                queue.add_after(Key::of(job.as_ref()), left);
            }
        });
        self.jobs.synced().await;
        let workers = self.cx.options.concurrent_ttl_after_finished_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let api: Api<Job> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        // As the server has it: its time may have been made longer.
        let Some(job) = api.get_opt(&key.name).await? else {
            return Ok(None);
        };
        match remaining(&job, Timestamp::now()) {
            None => return Ok(None),
            Some(left) if !left.is_zero() => return Ok(Some(left)),
            Some(_) => {}
        }
        // One that has changed meanwhile may have more time: an event brings it here again.
        delete_unchanged(&api, &job, DeleteParams::foreground()).await?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn time_runs_from_the_end_of_a_job() {
        let now = "2026-01-01T00:01:00Z".parse().expect("a time");
        let ended = |type_: &str, second: u32| {
            json!([{"type": type_, "status": "True",
                "lastTransitionTime": format!("2026-01-01T00:00:{second:02}Z")}])
        };
        let deleted = Some("2026-01-01T00:00:00Z");
        for (ttl, conditions, deleted, expected) in [
            (Some(30), ended("Complete", 40), None, Some(10)),
            (Some(30), ended("Failed", 10), None, Some(0)),
            (Some(0), ended("Complete", 59), None, Some(0)),
            (Some(30), ended("Suspended", 40), None, None),
            (Some(30), json!([]), None, None),
            (None, ended("Complete", 40), None, None),
            (Some(30), ended("Complete", 10), deleted, None),
        ] {
            let job: Value = json!({
                "metadata": {"deletionTimestamp": deleted},
                "spec": {"template": {}, "ttlSecondsAfterFinished": ttl},
                "status": {"conditions": conditions},
            });
            let job: Job = serde_json::from_value(job).expect("a job");
            let found = remaining(&job, now);
            assert_eq!(
                found,
                expected.map(Duration::from_secs),
                "{ttl:?} {conditions}"
            );
        }
    }
}
