//! The controller's loop.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use mainstay_client::{
    Informer, Key, Queue, already_exists, controller_of, controller_ref, delete_exactly_with,
    is_controlled_by,
};

use super::due::Times;
use super::history::old;
use super::schedule::Schedule;
use crate::context::Context;
use crate::job::{COMPLETE, finished};
use crate::pods::{namespace_goes, reason};

const BY_CONTROLLER: &str = "controller";
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// Starts jobs at the times that cron jobs say.
pub async fn cron_jobs(cx: Context) {
    let controller = Controller {
        cron_jobs: cx.informers.of(),
        jobs: cx.informers.of(),
        queue: cx.queue("cronjob"),
        cx,
    };
    Arc::new(controller).run().await;
}

struct Controller {
    cx: Context,
    cron_jobs: Arc<Informer<CronJob>>,
    jobs: Arc<Informer<Job>>,
    queue: Queue<Key>,
}

/// One round of one cron job.
struct Round<'a> {
    cron_job: &'a CronJob,
    spec: &'a CronJobSpec,
    status: CronJobStatus,
    api: Api<Job>,
    now: Timestamp,
}

impl Round<'_> {
    fn active(&self) -> &[ObjectReference] {
        self.status.active.as_deref().unwrap_or_default()
    }

    fn is_active(&self, job: &Job) -> bool {
        let uid = job.metadata.uid.as_deref();
        self.active().iter().any(|own| own.uid.as_deref() == uid)
    }

    fn forget(&mut self, uid: Option<&str>) {
        if let Some(active) = &mut self.status.active {
            active.retain(|own| own.uid.as_deref() != uid);
        }
        self.status.active.take_if(|active| active.is_empty());
    }
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.jobs.index_by(BY_CONTROLLER, |job| {
            let owner = controller_of(job).filter(|owner| owner.kind == "CronJob");
            owner.map(|owner| owner.uid.clone()).into_iter().collect()
        });
        self.cron_jobs.names_into(&self.queue);
        let queue = self.queue.clone();
        self.jobs.on(move |change| {
            let job = change.object();
            let owner = controller_of(job.as_ref()).filter(|owner| owner.kind == "CronJob");
            if let Some(owner) = owner {
                let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
                queue.add(Key::new(namespace, &owner.name));
            }
        });
        self.cron_jobs.synced().await;
        self.jobs.synced().await;
        let workers = self.cx.options.concurrent_cron_job_syncs;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        self.queue.work_for(&self, workers, work).await;
    }

    async fn sync(&self, key: &Key) -> kube::Result<Option<Duration>> {
        let Some(cron_job) = self.cron_jobs.cache().get(key) else {
            return Ok(None);
        };
        let spec = &cron_job.spec;
        let uid = cron_job.metadata.uid.as_deref().unwrap_or_default();
        let jobs = self.jobs.cache().indexed(BY_CONTROLLER, uid);
        let jobs: Vec<&Job> = jobs.iter().map(AsRef::as_ref).collect();
        let mut round = Round {
            cron_job: &cron_job,
            spec,
            status: cron_job.status.clone().unwrap_or_default(),
            api: Api::namespaced(self.cx.client.clone(), &key.namespace),
            now: self.cx.clock.now(),
        };
        self.look_at(&mut round, &jobs).await?;
        let started = match cron_job.metadata.deletion_timestamp {
            None => self.start(&mut round).await,
            Some(_) => Ok(None),
        };
        for job in old(spec, &jobs) {
            self.delete(&mut round, job).await?;
        }
        self.tell(key, &round).await?;
        started
    }

    /// What became of the jobs that were started.
    async fn look_at(&self, round: &mut Round<'_>, jobs: &[&Job]) -> kube::Result<()> {
        let events = &self.cx.events;
        for &job in jobs {
            let end = finished(job);
            match (round.is_active(job), end) {
                (false, None) => {
                    let text = format!(
                        "Saw a job that the controller did not create or forgot: {}",
                        name(job)
                    );
                    if self.forgot(round, job).await? {
                        let reference = reference(job);
                        round.status.active.get_or_insert_default().push(reference);
                    } else {
                        events.warning(round.cron_job, "UnexpectedJob", text);
                    }
                }
                (true, Some(end)) => {
                    round.forget(job.metadata.uid.as_deref());
                    let text =
                        format!("Saw completed job: {}, condition: {}", name(job), end.type_);
                    events.normal(round.cron_job, "SawCompletedJob", text);
                }
                _ => {}
            }
            let status = job.status.as_ref();
            let completed = status.and_then(|status| status.completion_time.as_ref());
            if let Some(time) = completed
                && end.is_some_and(|end| end.type_ == COMPLETE)
                && round
                    .status
                    .last_successful_time
                    .as_ref()
                    .is_none_or(|last| last.0 < time.0)
            {
                round.status.last_successful_time = Some(time.clone());
            }
        }
        for active in round.active().to_vec() {
            let known = jobs.iter().any(|job| job.metadata.uid == active.uid);
            let name = active.name.as_deref().unwrap_or_default();
            // The cache may be behind.
            if known || self.exists(round, name, active.uid.as_deref()).await? {
                continue;
            }
            round.forget(active.uid.as_deref());
            let text = format!("Active job went missing: {name}");
            events.normal(round.cron_job, "MissingJob", text);
        }
        Ok(())
    }

    /// Whether a job is one that was made here just before the end, and not told of in the status.
    async fn forgot(&self, round: &Round<'_>, job: &Job) -> kube::Result<bool> {
        let stem = round.cron_job.metadata.name.as_deref().unwrap_or_default();
        let annotations = job.metadata.annotations.as_ref();
        let made_here = annotations.is_some_and(|own| own.contains_key(SCHEDULED))
            && name(job)
                .rsplit_once('-')
                .is_some_and(|(own, _)| own == stem);
        Ok(made_here
            && self
                .exists(round, name(job), job.metadata.uid.as_deref())
                .await?)
    }

    async fn exists(&self, round: &Round<'_>, name: &str, uid: Option<&str>) -> kube::Result<bool> {
        let found = round.api.get_opt(name).await?;
        Ok(found.is_some_and(|job| job.metadata.uid.as_deref() == uid))
    }

    /// Starts the job that is due. Returns the time until the next one.
    async fn start(&self, round: &mut Round<'_>) -> kube::Result<Option<Duration>> {
        let cron_job = round.cron_job;
        let events = &self.cx.events;
        let zone = match &round.spec.time_zone {
            None => Ok(TimeZone::system()),
            Some(name) => TimeZone::get(name).map_err(|error| (name, error)),
        };
        let zone = match zone {
            Ok(zone) => zone,
            Err((name, error)) => {
                let text = format!("invalid timeZone: {name:?}: {error}");
                events.warning(cron_job, "UnknownTimeZone", text);
                return Ok(None);
            }
        };
        if round.spec.suspend == Some(true) {
            return Ok(None);
        }
        let schedule = match Schedule::parse(&round.spec.schedule) {
            Ok(schedule) => schedule,
            Err(error) => {
                let text = format!("unparseable schedule: {:?} : {error}", round.spec.schedule);
                events.warning(cron_job, "UnparseableSchedule", text);
                return Ok(None);
            }
        };
        let created = cron_job.metadata.creation_timestamp.as_ref();
        let mut times = Times {
            schedule: &schedule,
            zone: &zone,
            created: created.map_or(round.now, |time| time.0),
            last: round.status.last_schedule_time.as_ref().map(|time| time.0),
            starting_deadline: round.spec.starting_deadline_seconds,
            now: round.now,
        };
        let due = times.due();
        if due.many_missed {
            let text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            events.warning(cron_job, "TooManyMissedTimes", text);
        }
        let Some(at) = due.at else {
            return Ok(times.wait());
        };
        if self.may_start(round, at).await? {
            self.create(round, at, &zone).await?;
            times.last = Some(at);
        }
        Ok(times.wait())
    }

    /// Whether a start is neither too late nor done already nor forbidden by those that run; those in its way go.
    async fn may_start(&self, round: &mut Round<'_>, at: Timestamp) -> kube::Result<bool> {
        let events = &self.cx.events;
        let allowed = round.spec.starting_deadline_seconds;
        let late = round.now.duration_since(at).as_secs();
        if allowed.is_some_and(|allowed| late > allowed) {
            let when = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let text = format!("Missed scheduled time to start a job: {when}");
            events.warning(round.cron_job, "MissSchedule", text);
            return Ok(false);
        }
        let job = Some(job_name(round.cron_job, at));
        if round.active().iter().any(|own| own.name == job) {
            // Perhaps by one who did not come to tell.
            round.status.last_schedule_time = Some(Time(at));
            return Ok(false);
        }
        match round.spec.concurrency_policy.as_deref() {
            Some("Forbid") if !round.active().is_empty() => {
                let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
                events.normal(round.cron_job, "JobAlreadyActive", text);
                Ok(false)
            }
            Some("Replace") => {
                for active in round.active().to_vec() {
                    let name = active.name.as_deref().unwrap_or_default();
                    match round.api.get_opt(name).await? {
                        Some(job) if job.metadata.uid == active.uid => {
                            self.delete(round, &job).await?;
                        }
                        _ => round.forget(active.uid.as_deref()),
                    }
                }
                Ok(true)
            }
            _ => Ok(true),
        }
    }

    async fn create(
        &self,
        round: &mut Round<'_>,
        at: Timestamp,
        zone: &TimeZone,
    ) -> kube::Result<()> {
        let wanted = new_job(round.cron_job, round.spec, at, zone);
        let events = &self.cx.events;
        let job = match round.api.create(&PostParams::default(), &wanted).await {
            Ok(job) => {
                let text = format!("Created job {}", name(&job));
                events.normal(round.cron_job, "SuccessfulCreate", text);
                job
            }
            // Made before, by one who did not come to tell.
            Err(error) if already_exists(&error) => match round.api.get_opt(name(&wanted)).await? {
                Some(job) if is_controlled_by(&job, round.cron_job) => job,
                // Somebody else's: this start is theirs, and the next one has another name.
                Some(_) => return Ok(()),
                None => return Err(error),
            },
            Err(error) if namespace_goes(&error) => return Ok(()),
            Err(error) => {
                let text = format!("Error creating job: {}", reason(&error));
                events.warning(round.cron_job, "FailedCreate", text);
                return Err(error);
            }
        };
        if finished(&job).is_none() && !round.is_active(&job) {
            let active = round.status.active.get_or_insert_default();
            active.push(reference(&job));
        }
        round.status.last_schedule_time = Some(Time(at));
        Ok(())
    }

    async fn delete(&self, round: &mut Round<'_>, job: &Job) -> kube::Result<()> {
        let events = &self.cx.events;
        // In the background: jobs' own rule is to leave their pods.
        let how = DeleteParams::background();
        match delete_exactly_with(&round.api, job, how).await {
            Ok(true) => {
                let text = format!("Deleted job {}", name(job));
                events.normal(round.cron_job, "SuccessfulDelete", text);
            }
            Ok(false) => {}
            Err(error) => {
                let text = format!("Deleted job: {}", reason(&error));
                events.warning(round.cron_job, "FailedDelete", text);
                return Err(error);
            }
        }
        round.forget(job.metadata.uid.as_deref());
        Ok(())
    }

    /// Writes the status over exactly the cron job that was looked at, if it is another one.
    async fn tell(&self, key: &Key, round: &Round<'_>) -> kube::Result<()> {
        if round.cron_job.status.clone().unwrap_or_default() == round.status {
            return Ok(());
        }
        let told = CronJob {
            status: Some(round.status.clone()),
            ..round.cron_job.clone()
        };
        let api: Api<CronJob> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        api.replace_status(&key.name, &PostParams::default(), &told)
            .await
            .map(drop)
    }
}

/// Minutes since the epoch: every start has its own.
fn job_name(cron_job: &CronJob, at: Timestamp) -> String {
    let name = cron_job.metadata.name.as_deref().unwrap_or_default();
    format!("{name}-{}", at.as_second() / 60)
}

fn new_job(cron_job: &CronJob, spec: &CronJobSpec, at: Timestamp, zone: &TimeZone) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut job = Job {
        spec: spec.job_template.spec.clone(),
        ..Job::default()
    };
    job.metadata.name = Some(job_name(cron_job, at));
    job.metadata.labels = template.labels;
    let mut annotations = template.annotations.unwrap_or_default();
    let local = at.to_zoned(zone.clone());
    let offset = match local.offset().is_zero() {
        true => "Z".to_owned(),
        false => local.strftime("%:z").to_string(),
    };
    let when = format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S"));
    annotations.insert(SCHEDULED.to_owned(), when);
    job.metadata.annotations = Some(annotations);
    job.metadata.owner_references = Some(vec![controller_ref(cron_job)]);
    job
}

fn reference(job: &Job) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        namespace: job.metadata.namespace.clone(),
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
        resource_version: job.metadata.resource_version.clone(),
        field_path: None,
    }
}
