//! Pods are counted exactly once, whatever write the controller dies after.

use std::collections::HashSet;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::conditions::End;
use super::pod::{is_tracked, uid};
use super::spec::{COMPLETION_INDEX, Spec, TRACKING};
use super::track::{Round, Uncounted, count};

fn job(indexed: bool) -> Job {
    let mode = if indexed { "Indexed" } else { "NonIndexed" };
    let job = json!({
        "metadata": {"name": "j", "namespace": "ns"},
        "spec": {"completionMode": mode, "completions": 10, "template": {}},
    });
    serde_json::from_value(job).expect("a job")
}

fn pod(uid: &str, phase: &str, index: Option<i32>) -> Pod {
    let annotations = index.map(|index| json!({COMPLETION_INDEX: index.to_string()}));
    let pod = json!({
        "metadata": {"name": uid, "uid": uid, "finalizers": [TRACKING],
            "annotations": annotations.unwrap_or(json!({}))},
        "status": {"phase": phase},
    });
    serde_json::from_value(pod).expect("a pod")
}

/// A job and its pods as the server has them.
struct World {
    job: Job,
    pods: Vec<Pod>,
    writes: usize,
}

impl World {
    /// A write, unless it dies before.
    fn write(&mut self, dies_after: usize, change: impl FnOnce(&mut Self)) -> Option<()> {
        if self.writes == dies_after {
            return None;
        }
        self.writes += 1;
        change(self);
        Some(())
    }

    fn tracked(&self) -> HashSet<String> {
        let tracked = self.pods.iter().filter(|pod| is_tracked(pod));
        tracked.map(|pod| uid(pod).to_owned()).collect()
    }

    /// One round; `None` if it died in it.
    fn round(&mut self, dies_after: usize, end: Option<&End>) -> Option<()> {
        let job = self.job.clone();
        let spec = Spec::of(&job).expect("a spec");
        let pods = self.pods.clone();
        let pods: Vec<&Pod> = pods.iter().collect();
        let kept = HashSet::new();
        let round = Round {
            spec,
            pods: &pods,
            end,
            kept: &kept,
        };
        let mut status = job.status.clone().unwrap_or_default();
        let tracked = self.tracked();
        count(&mut status, &tracked.iter().map(String::as_str).collect());
        let mut indexes = spec.completed_indexes();
        let (free, _) = round.name(&mut status, &mut indexes);
        if spec.is_indexed() {
            status.succeeded = Some(indexes.len());
            status.completed_indexes = Some(indexes.text());
        }
        self.write(dies_after, |world| world.job.status = Some(status.clone()))?;
        for pod in free {
            self.write(dies_after, |world| {
                let known = world.pods.iter_mut();
                let mut known = known.filter(|known| uid(known) == uid(pod));
                known.next().expect("it is there").metadata.finalizers = None;
            })?;
        }
        let tracked = self.tracked();
        count(&mut status, &tracked.iter().map(String::as_str).collect());
        self.write(dies_after, |world| world.job.status = Some(status))
    }
}

fn total(status: &JobStatus) -> (i32, i32) {
    assert!(Uncounted::of(status).is_empty(), "all are counted");
    (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0))
}

#[test]
fn pods_are_counted_once_whatever_write_it_dies_after() {
    for (indexed, expected) in [(false, (3, 2)), (true, (2, 2))] {
        for dies_after in 0..=8 {
            let index = |index| indexed.then_some(index);
            let mut world = World {
                job: job(indexed),
                pods: vec![
                    pod("a", "Succeeded", index(0)),
                    pod("b", "Succeeded", index(1)),
                    // Another one for an index that is done already.
                    pod("c", "Succeeded", index(1)),
                    pod("d", "Failed", index(2)),
                    pod("e", "Failed", index(2)),
                    pod("f", "Running", index(3)),
                ],
                writes: 0,
            };
            let died = world.round(dies_after, None).is_none();
            assert_eq!(died, dies_after < 7, "seven writes");
            world.round(usize::MAX, None).expect("it lives");
            let status = world.job.status.clone().expect("a status");
            assert_eq!(total(&status), expected, "died after {dies_after} writes");
            assert_eq!(world.tracked().len(), 1, "the one that runs");
        }
    }
}

#[test]
fn what_still_runs_fails_with_its_job_and_not_with_its_success() {
    let failed = End::failed("DeadlineExceeded", "");
    let succeeded = End::succeeded("SuccessPolicy", "");
    for (end, expected) in [(failed, (0, 1)), (succeeded, (0, 0))] {
        let mut world = World {
            job: job(false),
            pods: vec![pod("a", "Running", None)],
            writes: 0,
        };
        world.round(usize::MAX, Some(&end)).expect("it lives");
        assert_eq!(
            total(&world.job.status.clone().expect("a status")),
            expected
        );
        assert!(world.tracked().is_empty());
    }
}
