//! The controller's loop.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::PostParams;
use mainstay_client::{Change, Claim, Informer, Key, Queue, Unseen, selector};
use parking_lot::Mutex;

use super::backoff::Backoff;
use super::conditions::{End, finished, suspend};
use super::plan::Plan;
use super::pod::{is_tracked, new_pod, uid};
use super::round::Round;
use super::spec::{Spec, TRACKING};
use super::track;
use super::untrack::{still_tracked, untrack};
use crate::context::Context;
use crate::limits::{DELETIONS_AT_ONCE, JOB_GATHER, UNSEEN_PAUSE};
use crate::owners::{concerned, owner_of};
use crate::pods::{PodControl, by_controller, candidates, is_active, namespace_goes, slow_start};

/// Runs pods to their ends, as often as jobs ask for.
pub async fn jobs(cx: Context) {
    Controller::new(cx).run().await;
}

pub(super) struct Controller {
    pub(super) cx: Context,
    pub(super) jobs: Arc<Informer<Job>>,
    pub(super) pods: Arc<Informer<Pod>>,
    queue: Queue<Key>,
    /// Pods that keep the finalizer though their job is gone.
    pub(super) orphans: Queue<Key>,
    unseen: Unseen,
    backoff: Backoff,
}

/// What was done to pods in one round.
#[derive(Default)]
struct Done {
    made: usize,
    deleted: HashSet<String>,
    error: Option<kube::Error>,
}

impl Controller {
    fn new(cx: Context) -> Arc<Self> {
        let pods = cx.informers.of::<Pod>();
        by_controller(&pods);
        Arc::new(Self {
            jobs: cx.informers.of(),
            pods,
            queue: cx.queue("job"),
            orphans: cx.queue("job_orphan_pod"),
            unseen: Unseen::default(),
            backoff: Backoff::default(),
            cx,
        })
    }

    async fn run(self: Arc<Self>) {
        self.jobs.on_for(&self, Self::job_changed);
        self.pods.on_for(&self, Self::pod_changed);
        self.jobs.synced().await;
        self.pods.synced().await;
        let workers = self.cx.options.concurrent_job_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        let orphans = async |this: Arc<Self>, key: Key| this.sync_orphan(&key).await;
        tokio::join!(
            self.queue.work_for(&self, workers, work),
            self.orphans.work_for(&self, 1, orphans)
        );
    }

    fn job_changed(&self, change: &Change<'_, Job>) {
        let job = change.object();
        let key = Key::of(job.as_ref());
        if let Change::Deleted(_) = change {
            self.unseen.forget(&key);
            self.backoff.forget(&key);
            for pod in candidates(self.pods.cache(), job.as_ref()) {
                self.look_for_orphan(&pod);
            }
        }
        self.queue.add(key);
    }

    fn pod_changed(&self, change: &Change<'_, Pod>) {
        let wanted = |job: &Job| {
            let wanted = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            selector(wanted).ok().flatten()
        };
        for job in concerned(self.jobs.cache(), change, wanted) {
            // Pods of one job often change together, and each round is a write of the status.
            self.queue.add_after(Key::of(job.as_ref()), JOB_GATHER);
        }
        let pod = change.object();
        let gone = matches!(change, Change::Deleted(_));
        if !gone && owner_of(self.jobs.cache(), pod.as_ref()).is_none() {
            self.look_for_orphan(pod);
        }
    }

    fn look_for_orphan(&self, pod: &Pod) {
        if is_tracked(pod) {
            self.orphans.add_after(Key::of(pod), JOB_GATHER);
        }
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(job) = self.jobs.cache().get(key) else {
            self.unseen.forget(key);
            self.backoff.forget(key);
            return Ok(None);
        };
        let Some(spec) = Spec::of(&job).filter(|spec| !spec.is_foreign()) else {
            return Ok(None);
        };
        if finished(&job).is_some() {
            self.backoff.forget(key);
            return Ok(None);
        }
        if spec.has_unknown_mode() {
            let text = "Skipped Job sync because completion mode is unknown";
            self.cx.events.warning(&*job, "UnknownCompletionMode", text);
            return Ok(None);
        }
        let look = || candidates(self.pods.cache(), job.as_ref());
        let (found, knows) = self.unseen.look(key, &self.pods, look);
        if !knows {
            // What was counted would be counted again, what was made would be made again.
            return Ok(Some(UNSEEN_PAUSE));
        }
        let pods = self.claim(key, spec, found).await?;
        let mut pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        let stale = self.stale(spec, &pods).await?;
        pods.retain(|pod| !stale.contains(uid(pod)));
        let failures = self.backoff.get(key);
        // Times in objects have no fractions.
        let now = Timestamp::now();
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        self.round(Round::new(spec, &pods, failures, now)).await
    }

    /// A pod of the job was written; no round before the cache shows it.
    pub(super) fn written(&self, key: &Key, pod: &Pod) {
        self.unseen.created(key, &self.pods, pod);
    }

    async fn claim(
        &self,
        key: &Key,
        spec: Spec<'_>,
        found: Vec<Arc<Pod>>,
    ) -> kube::Result<Vec<Arc<Pod>>> {
        let selector = match selector(spec.spec.selector.as_ref()) {
            Ok(Some(selector)) => selector,
            Ok(None) => return Ok(Vec::new()),
            Err(error) => {
                tracing::warn!("{key} selects nothing: {error}");
                return Ok(Vec::new());
            }
        };
        let claim = Claim {
            owner: spec.job,
            owners: &Api::namespaced(self.cx.client.clone(), &key.namespace),
            selector: &selector,
            finalizers: &[TRACKING],
        };
        let api = Api::namespaced(self.cx.client.clone(), &key.namespace);
        claim.claim(&api, found).await
    }

    async fn round(&self, mut round: Round<'_>) -> kube::Result<Option<Duration>> {
        let key = round.spec.key();
        let mut wait = round.deadline();
        let mut end = round.end();
        let mut done = Done::default();
        let mut conditions = round.status.conditions.clone().unwrap_or_default();
        let mut enact = true;
        if end.is_some() {
            done = self.delete(&key, round.spec.job, &round.active).await;
            // Not while pods are left that would be counted too late.
            enact = done.deleted.len() == round.active.len();
        } else {
            if !round.spec.is_deleted() {
                let plan = round.seen().plan();
                if let Plan::Wait(pause) = plan {
                    wait = Some(wait.map_or(pause, |wait| wait.min(pause)));
                }
                done = self.carry_out(&key, &round, plan).await;
            }
            let left = round.active.len() - done.deleted.len() + done.made;
            end = round.completion(left);
            if end.is_none() && !round.spec.is_deleted() {
                let suspended = round.spec.is_suspended();
                if suspend(&mut conditions, suspended, round.now) {
                    self.tell_suspension(&mut round, suspended);
                }
            } else if round.succeeded > round.spec.spec.completions.unwrap_or(i32::MAX) {
                let text = "Too many succeeded pods running after completion count reached";
                self.cx
                    .events
                    .warning(round.spec.job, "TooManySucceededPods", text);
            }
        }
        let deleted: HashSet<&str> = done.deleted.iter().map(String::as_str).collect();
        round.note_pods(done.made, &deleted);
        round.status.conditions = (!conditions.is_empty()).then_some(conditions);
        self.track(&key, round, end, enact).await?;
        match done.error {
            Some(error) => Err(error),
            None => Ok(wait),
        }
    }

    fn tell_suspension(&self, round: &mut Round<'_>, suspended: bool) {
        let job = round.spec.job;
        if suspended {
            self.cx.events.normal(job, "Suspended", "Job suspended");
        } else {
            self.cx.events.normal(job, "Resumed", "Job resumed");
            round.status.start_time = Some(Time(round.now));
        }
    }

    async fn carry_out(&self, key: &Key, round: &Round<'_>, plan: Plan<'_>) -> Done {
        match plan {
            Plan::Nothing | Plan::Wait(_) => Done::default(),
            Plan::Delete(pods) => self.delete(key, round.spec.job, &pods).await,
            Plan::Create(count) => self.create(key, round, &vec![None; count]).await,
            Plan::CreateFor(indexes) => {
                let indexes: Vec<_> = indexes.into_iter().map(Some).collect();
                self.create(key, round, &indexes).await
            }
        }
    }

    async fn create(&self, key: &Key, round: &Round<'_>, indexes: &[Option<i32>]) -> Done {
        let control = PodControl::new(&self.cx.client, &self.cx.events, round.spec.job);
        let next = Mutex::new(indexes.iter().copied());
        let one = || async {
            let index = next.lock().next().flatten();
            let replaced = index.and_then(|index| round.replaced.get(&index).copied());
            let pod = new_pod(&round.spec, index, replaced);
            match control.create(&pod).await {
                Ok(pod) => {
                    self.unseen.created(key, &self.pods, &pod);
                    Ok(())
                }
                Err(error) if namespace_goes(&error) => Ok(()),
                Err(error) => Err(error),
            }
        };
        let (made, _, error) = slow_start(indexes.len(), one).await;
        Done {
            made,
            error,
            ..Done::default()
        }
    }

    async fn delete(&self, key: &Key, job: &Job, pods: &[&Pod]) -> Done {
        let control = PodControl::new(&self.cx.client, &self.cx.events, job);
        let mut waiting = pods.iter().copied();
        let mut answers = FuturesUnordered::new();
        for pod in waiting.by_ref().take(DELETIONS_AT_ONCE) {
            answers.push(delete_one(&control, pod));
        }
        let mut done = Done::default();
        while let Some((pod, answer)) = answers.next().await {
            match answer {
                Ok(()) => {
                    self.unseen.deleted(key, pod);
                    done.deleted.insert(uid(pod).to_owned());
                }
                Err(error) => done.error = Some(error),
            }
            if let Some(pod) = waiting.next() {
                answers.push(delete_one(&control, pod));
            }
        }
        done
    }

    /// Names, frees and counts pods, and ends the job once nothing is left to count.
    async fn track(
        &self,
        key: &Key,
        round: Round<'_>,
        end: Option<End>,
        enact: bool,
    ) -> kube::Result<()> {
        let kept = round.kept();
        let deciding = end.as_ref().filter(|_| enact);
        let tracking = track::Round {
            spec: round.spec,
            pods: round.pods,
            end: deciding,
            kept: &kept,
        };
        let mut status = round.status.clone();
        let tracked = round.pods.iter().filter(|pod| is_tracked(pod));
        let tracked: HashSet<&str> = tracked.map(|pod| uid(pod)).collect();
        track::count(&mut status, &tracked);
        let mut indexes = round.counted.clone();
        let (free, all) = tracking.name(&mut status, &mut indexes);
        if round.spec.is_indexed() {
            status.succeeded = some(indexes.len());
            let text = indexes.text();
            status.completed_indexes = (!text.is_empty()).then_some(text);
        }
        if round.spec.index_limit().is_some() {
            status.failed_indexes = Some(round.given_up.text());
        }
        if let Some(end) = deciding {
            end.decide(status.conditions.get_or_insert_default(), round.now);
        }
        let mut job = round.spec.job.clone();
        // Before any finalizer is removed.
        if !free.is_empty() || deciding.is_none() {
            job = self.write(job, &status).await?;
        }
        self.backoff.set(key, round.failures);
        let (gone, error) = untrack(self, key, &free).await;
        let left: HashSet<&str> = tracked.difference(&gone).copied().collect();
        track::count(&mut status, &left);
        let uncounted = track::Uncounted::of(&status);
        if let Some(end) = deciding
            && error.is_none()
            && all
            && uncounted.is_empty()
            && round.terminating == 0
        {
            end.enact(status.conditions.get_or_insert_default(), round.now);
            if end.succeeded {
                status.completion_time = Some(Time(round.now));
            }
            self.end(job, &status, end).await?;
        } else {
            self.write(job, &status).await?;
        }
        error.map_or(Ok(()), Err)
    }

    async fn end(&self, job: Job, status: &JobStatus, end: &End) -> kube::Result<()> {
        let job = self.write(job, status).await?;
        match end.succeeded {
            true => self.cx.events.normal(&job, "Completed", "Job completed"),
            false => self.cx.events.warning(&job, &end.reason, &*end.message),
        }
        self.backoff.forget(&Key::of(&job));
        Ok(())
    }

    /// Uids of pods that came to their ends and that the cache still shows with the finalizer, though the server does
    /// not: somebody has counted them, and they would be counted twice. Those in the status need not be asked for.
    async fn stale<'a>(&self, spec: Spec<'_>, pods: &[&'a Pod]) -> kube::Result<HashSet<&'a str>> {
        let status = spec.job.status.clone().unwrap_or_default();
        let named = track::Uncounted::of(&status);
        let is_named = |uid: &str| named.succeeded.contains(uid) || named.failed.contains(uid);
        let mut new = pods.to_vec();
        new.retain(|pod| is_tracked(pod) && !is_active(pod) && !is_named(uid(pod)));
        let mut stale: HashSet<&str> = new.iter().map(|pod| uid(pod)).collect();
        for uid in still_tracked(self, new).await? {
            stale.remove(uid);
        }
        Ok(stale)
    }

    /// Writes the status over exactly the job that was looked at, if it is another one.
    async fn write(&self, mut job: Job, status: &JobStatus) -> kube::Result<Job> {
        let status = tidy(status.clone());
        if job.status.clone().map(tidy).as_ref() == Some(&status) {
            return Ok(job);
        }
        job.status = Some(status);
        let namespace = job.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Job> = Api::namespaced(self.cx.client.clone(), &namespace);
        let name = job.metadata.name.clone().unwrap_or_default();
        api.replace_status(&name, &PostParams::default(), &job)
            .await
    }
}

async fn delete_one<'a>(
    control: &PodControl<'_, Job>,
    pod: &'a Pod,
) -> (&'a Pod, kube::Result<()>) {
    (pod, control.delete(pod).await)
}

/// Without differences that say nothing.
fn tidy(mut status: JobStatus) -> JobStatus {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    for list in [&mut uncounted.succeeded, &mut uncounted.failed] {
        if list.as_ref().is_some_and(Vec::is_empty) {
            *list = None;
        }
    }
    for count in [
        &mut status.active,
        &mut status.succeeded,
        &mut status.failed,
    ] {
        *count = count.filter(|count| *count > 0);
    }
    status
}

fn some(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}
