//! Which finished jobs of a cron job are old.

use k8s_openapi::api::batch::v1::{CronJobSpec, Job};

use crate::job::{COMPLETE, finished};

/// Finished jobs beyond the limits, the oldest first.
pub(super) fn old<'a>(spec: &CronJobSpec, jobs: &[&'a Job]) -> Vec<&'a Job> {
    let ended = |complete: bool| {
        let all = jobs.iter().copied();
        let all = all.filter(|job| {
            finished(job).is_some_and(|condition| (condition.type_ == COMPLETE) == complete)
        });
        all.filter(|job| job.metadata.deletion_timestamp.is_none())
            .collect()
    };
    let mut gone = beyond(ended(true), spec.successful_jobs_history_limit);
    gone.extend(beyond(ended(false), spec.failed_jobs_history_limit));
    gone
}

fn beyond(mut jobs: Vec<&Job>, limit: Option<i32>) -> Vec<&Job> {
    let Some(limit) = limit else {
        return Vec::new();
    };
    let limit = usize::try_from(limit).unwrap_or(0);
    jobs.sort_by_cached_key(|job| {
        let status = job.status.as_ref();
        let started = status.and_then(|status| status.start_time.as_ref());
        // What never began is the youngest.
        let started = started.map(|time| time.0);
        (started.is_none(), started, job.metadata.name.clone())
    });
    jobs.truncate(jobs.len().saturating_sub(limit));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_go_of_each_kind() {
        let job = |name: &str, end: &str, start: Option<u32>| -> Job {
            let start = start.map(|second| format!("2026-01-01T00:00:{second:02}Z"));
            let job = json!({
                "metadata": {"name": name},
                "status": {"startTime": start, "conditions": [{"type": end, "status": "True"}]},
            });
            serde_json::from_value(job).expect("a job")
        };
        let jobs = [
            job("c", "Complete", Some(3)),
            job("a", "Complete", Some(1)),
            job("b", "Complete", Some(2)),
            job("never", "Complete", None),
            job("runs", "Suspended", Some(1)),
            job("f", "Failed", Some(1)),
        ];
        let jobs: Vec<_> = jobs.iter().collect();
        for (limits, expected) in [
            (json!({}), vec![]),
            (json!({"successfulJobsHistoryLimit": 2}), vec!["a", "b"]),
            (
                json!({"successfulJobsHistoryLimit": 9, "failedJobsHistoryLimit": 0}),
                vec!["f"],
            ),
            (
                json!({"successfulJobsHistoryLimit": 0}),
                vec!["a", "b", "c", "never"],
            ),
        ] {
            let mut spec = json!({"schedule": "", "jobTemplate": {}});
            for (name, value) in limits.as_object().expect("an object") {
                spec[name] = value.clone();
            }
            let spec: CronJobSpec = serde_json::from_value(spec).expect("a spec");
            let names = old(&spec, &jobs).into_iter();
            let names: Vec<_> = names
                .filter_map(|job| job.metadata.name.as_deref())
                .collect();
            assert_eq!(names, expected, "{limits}");
        }
    }
}
