//! The life of one pod: it runs, it ends, nothing of it is left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use mainstay_cri::{CriError, RemoveContainerRequest, RemovePodSandboxRequest, Trouble};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::deadline;
use crate::admit::Rejection;
use crate::context::Context;
use crate::decide::{Backoff, plan};
use crate::limits::{
    END_RETRY_MAX, END_RETRY_MIN, PROBED_WAITING_MAX, RESTART_BACKOFF_MAX, RESTART_BACKOFF_MIN,
    SYNC_INTERVAL, SYNC_RETRY,
};
use crate::observed::Observed;
use crate::probes::{Outcome, Probed, Probes};
use crate::runtime::{observe, stop_pod};
use crate::spec::QosClass;
use crate::status::{self, Ended, Facts, Failures, Phase};
use crate::told::Told;

/// What is wanted of a pod.
#[derive(Clone, Debug)]
pub enum Wish {
    /// It shall run; or, with a time of deletion, end.
    Be(Arc<Pod>),
    /// It is gone from where it came from: nothing shall be left.
    Gone,
}

/// One pod with all that is known of it.
pub(super) struct Life {
    pub(super) context: Arc<Context>,
    pub(super) uid: String,
    /// As it was last given; what is known of an orphan is only what the runtime tells.
    pub(super) pod: Option<Arc<Pod>>,
    wishes: watch::Receiver<Wish>,
    pub(super) wake: Arc<Notify>,
    pub(super) probes: Probes,
    probed: mpsc::Receiver<Probed>,
    pub(super) failures: Failures,
    pub(super) backoff: Backoff<(String, String)>,
    /// Ids of containers that were ended to be started again.
    pub(super) condemned: HashSet<String>,
    pub(super) status: PodStatus,
    ended: Option<Ended>,
    /// The node has not taken it.
    rejected: Option<Rejection>,
    /// Moments of the back-off are counted from here.
    pub(super) begun: (Instant, Timestamp),
    /// When the pod is to be looked at without anything having happened.
    pub(super) again: Option<Duration>,
}

impl Life {
    pub(super) fn new(
        context: Arc<Context>,
        uid: String,
        wishes: watch::Receiver<Wish>,
        wake: Arc<Notify>,
    ) -> Self {
        let (failed, probed) = mpsc::channel(PROBED_WAITING_MAX);
        Self {
            context,
            uid,
            pod: None,
            wishes,
            probes: Probes::new(Arc::clone(&wake), failed),
            wake,
            probed,
            failures: Failures::new(),
            backoff: Backoff::new(RESTART_BACKOFF_MIN, RESTART_BACKOFF_MAX),
            condemned: HashSet::new(),
            status: PodStatus::default(),
            ended: None,
            rejected: None,
            begun: (Instant::now(), Timestamp::now()),
            again: None,
        }
    }

    /// Until nothing of the pod is left and nobody wants it any more.
    pub(super) async fn run(mut self) {
        self.take_wish();
        if let Some(pod) = &self.pod {
            let shown = self.context.statuses.shown(pod);
            self.status = shown.or_else(|| pod.status.clone()).unwrap_or_default();
        }
        self.ask_to_be_taken().await;
        while !self.wants_to_end() {
            let mut wishes = self.wishes.clone();
            let ending = async {
                // The sender lives as long as the pod is known.
                let _ = wishes.wait_for(ends).await;
            };
            tokio::select! {
                biased;
                () = ending => {}
                () = self.step() => {}
            }
            self.take_wish();
        }
        self.end().await;
        self.context.admission.leave(&self.uid);
        while !self.is_gone() {
            if self.wishes.changed().await.is_err() {
                break;
            }
            self.take_wish();
            self.tell(true);
        }
        self.tidy().await;
    }

    /// Once, before anything is started: a pod that does not fit has failed.
    async fn ask_to_be_taken(&mut self) {
        self.rejected = status::rejection_of(&self.status);
        let Some(pod) = self.pod.clone().filter(|_| !self.wants_to_end()) else {
            return;
        };
        // What was told of a static pod stands in its mirror.
        let mut asked = pod.as_ref().clone();
        asked.status = Some(self.status.clone());
        let Err(rejection) = self.context.admission.admit(&Arc::new(asked)).await else {
            return;
        };
        let told = Told::of(&self.context.events, &pod);
        told.warning(&rejection.reason, rejection.message.clone());
        let Rejection { reason, message } = &rejection;
        tracing::info!(
            uid = self.uid,
            reason,
            "the node does not take the pod: {message}"
        );
        self.status = status::rejected(&pod, &rejection, Timestamp::now());
        self.rejected = Some(rejection);
        self.publish(&pod, false);
    }

    fn take_wish(&mut self) {
        if let Wish::Be(pod) = &*self.wishes.borrow_and_update() {
            self.pod = Some(Arc::clone(pod));
        }
    }

    fn is_gone(&self) -> bool {
        matches!(&*self.wishes.borrow(), Wish::Gone)
    }

    fn wants_to_end(&self) -> bool {
        let phase = Phase::named(self.status.phase.as_deref());
        ends(&self.wishes.borrow())
            || self.ended.is_some()
            || matches!(phase, Some(Phase::Failed | Phase::Succeeded))
    }

    /// Looks, decides, acts; then waits for something to happen.
    async fn step(&mut self) {
        let pause = match self.sync().await {
            Ok(()) => self
                .again
                .take()
                .unwrap_or(SYNC_INTERVAL)
                .min(SYNC_INTERVAL),
            Err(error) => {
                tracing::warn!(uid = self.uid, "{error}");
                SYNC_RETRY
            }
        };
        if self.wants_to_end() {
            return;
        }
        let mut wishes = self.wishes.clone();
        let wake = Arc::clone(&self.wake);
        let deadline = sleep(pause);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                _ = wishes.changed() => return,
                () = wake.notified() => return,
                () = &mut deadline => return,
                probed = self.probed.recv() => if let Some(probed) = probed {
                    self.tell_probed(&probed);
                },
            }
        }
    }

    /// One round for a pod that shall run.
    async fn sync(&mut self) -> Result<(), CriError> {
        let Some(pod) = self.pod.clone() else {
            return Ok(());
        };
        let mut seen = self.look().await?;
        self.probe(&pod, &seen);
        self.judge(&pod, &seen, false);
        let left = deadline::left(&pod, &self.status, Timestamp::now());
        if left == Some(Duration::ZERO) {
            self.ended = Some(Ended {
                reason: "DeadlineExceeded".to_owned(),
                message: "Pod was active on the node longer than the specified deadline".to_owned(),
            });
        }
        if self.wants_to_end() {
            return Ok(());
        }
        self.context.volumes.follow(&pod);
        self.publish(&pod, false);
        self.again = left;
        let plan = plan(&pod, &seen, &self.probes.verdicts());
        if plan.is_empty() {
            return Ok(());
        }
        self.act(&pod, &seen, &plan).await;
        seen = self.look().await?;
        self.probe(&pod, &seen);
        self.judge(&pod, &seen, false);
        if !self.wants_to_end() {
            self.publish(&pod, false);
        }
        Ok(())
    }

    /// What the runtime has of the pod, with what only this task knows of it.
    pub(super) async fn look(&mut self) -> Result<Observed, CriError> {
        let mut seen = observe(&self.context.runtime, &self.uid).await?;
        self.condemned
            .retain(|id| seen.containers.iter().any(|one| one.id == *id));
        for container in &mut seen.containers {
            container.condemned = self.condemned.contains(&container.id);
        }
        Ok(seen)
    }

    /// Makes the status from what was seen.
    fn judge(&mut self, pod: &Pod, seen: &Observed, over: bool) {
        if self.rejected.is_some() {
            // It says why, and there is nothing else to say.
            return;
        }
        let verdicts = self.probes.verdicts();
        let host_ips = self.context.host_ips();
        self.status.qos_class = Some(QosClass::of(pod).name().to_owned());
        self.status = status::status(Facts {
            pod,
            old: &self.status,
            seen,
            verdicts: &verdicts,
            failures: &self.failures,
            ended: self.ended.as_ref(),
            over,
            host_ips: &host_ips,
            runtime: &self.context.runtime_name,
            now: Timestamp::now(),
        });
    }

    fn publish(&self, pod: &Pod, over: bool) {
        self.context.statuses.tell(pod, self.status.clone(), over);
    }

    /// Ends all that runs, however often it takes, and says so.
    async fn end(&mut self) {
        self.probes.end();
        let mut pause = END_RETRY_MIN;
        loop {
            self.take_wish();
            match self.try_end().await {
                Ok(true) => return self.tell(true),
                Ok(false) => continue,
                Err(error) => tracing::warn!(uid = self.uid, "ending: {error}"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(END_RETRY_MAX);
        }
    }

    /// Takes away volumes and cgroup of a pod that is down.
    async fn clear(&self) -> Result<(), CriError> {
        let failed = |error: std::io::Error| CriError {
            trouble: Trouble::Failed,
            message: error.to_string(),
        };
        self.context
            .volumes
            .tear_down(&self.uid)
            .await
            .map_err(failed)?;
        self.context.cgroups.remove(&self.uid).await.map_err(failed)
    }

    /// Whether nothing runs any more. Begins anew when the pod gets less time than it had.
    async fn try_end(&mut self) -> Result<bool, CriError> {
        let seen = observe(&self.context.runtime, &self.uid).await?;
        let pod = self.pod.clone();
        self.probes.keep(|id| seen.is_running(id));
        if let Some(pod) = &pod {
            self.judge(pod, &seen, seen.is_down());
            self.publish(pod, false);
        }
        if seen.is_down() {
            self.clear().await?;
            return Ok(true);
        }
        let told = pod
            .as_deref()
            .map(|pod| Told::of(&self.context.events, pod));
        let grace = pod
            .as_ref()
            .and_then(|pod| pod.metadata.deletion_grace_period_seconds);
        let mut wishes = self.wishes.clone();
        let less = async {
            let shorter = |wish: &Wish| match wish {
                Wish::Be(pod) => pod
                    .metadata
                    .deletion_grace_period_seconds
                    .is_some_and(|new| grace.is_none_or(|old| new < old)),
                Wish::Gone => false,
            };
            if wishes.wait_for(shorter).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let context = Arc::clone(&self.context);
        tokio::select! {
            () = less => {}
            stopped = stop_pod(&context, pod.as_deref(), &seen, None, told.as_ref()) => stopped?,
        }
        Ok(false)
    }

    /// The last word on a pod of which nothing runs.
    fn tell(&self, over: bool) {
        if let Some(pod) = &self.pod {
            self.publish(pod, over);
        }
    }

    /// Takes away what is left of a pod that nobody wants any more.
    async fn tidy(&mut self) {
        let mut pause = END_RETRY_MIN;
        while let Err(error) = self.remove().await {
            tracing::warn!(uid = self.uid, "removing: {error}");
            sleep(pause).await;
            pause = (pause * 2).min(END_RETRY_MAX);
        }
        self.context.images.forget(&self.uid);
        self.context.statuses.forget(&self.uid);
    }

    async fn remove(&self) -> Result<(), CriError> {
        let seen = observe(&self.context.runtime, &self.uid).await?;
        for container in &seen.containers {
            let request = RemoveContainerRequest {
                container_id: container.id.clone(),
            };
            gone(self.context.runtime.call(request).await)?;
        }
        for sandbox in &seen.sandboxes {
            let request = RemovePodSandboxRequest {
                pod_sandbox_id: sandbox.id.clone(),
            };
            gone(self.context.runtime.call(request).await)?;
        }
        let layout = &self.context.facts.layout;
        let name = format!("{}_{}_{}", seen.namespace, seen.name, self.uid);
        let logs = match &self.pod {
            Some(pod) => layout.pod_logs(pod),
            None => layout.logs.join(name),
        };
        if let Err(error) = tokio::fs::remove_dir_all(&logs).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", logs.display());
        }
        Ok(())
    }

    fn tell_probed(&self, probed: &Probed) {
        let Some(pod) = &self.pod else {
            return;
        };
        let told = Told::of(&self.context.events, pod);
        let purpose = probed.purpose.name();
        let message = match &probed.outcome {
            Outcome::Success => return,
            Outcome::Failure(seen) => format!("{purpose} probe failed: {seen}"),
            Outcome::Error(error) => format!("{purpose} probe errored: {error}"),
        };
        told.container_warning(&probed.container, "Unhealthy", message);
    }

    /// Since this task began; for moments before it, zero.
    pub(super) fn moment(&self, nanos: i64) -> Duration {
        let began = i128::from(self.begun.1.as_nanosecond() as i64);
        let passed = u64::try_from(i128::from(nanos) - began).unwrap_or(0);
        Duration::from_nanos(passed)
    }

    /// Containers by name, for those that run.
    pub(super) fn ready_before(&self) -> HashMap<String, bool> {
        let mains = self.status.container_statuses.iter().flatten();
        let init = self.status.init_container_statuses.iter().flatten();
        mains
            .chain(init)
            .filter_map(|status| {
                let id = status.container_id.as_deref()?.rsplit('/').next()?;
                Some((id.to_owned(), status.ready))
            })
            .collect()
    }
}

fn ends(wish: &Wish) -> bool {
    match wish {
        Wish::Be(pod) => pod.metadata.deletion_timestamp.is_some(),
        Wish::Gone => true,
    }
}

fn gone<T>(answer: Result<T, CriError>) -> Result<(), CriError> {
    match answer {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
