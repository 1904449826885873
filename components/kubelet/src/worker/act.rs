//! Does for a pod what was decided.

use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use mainstay_cri::PodSandboxConfig;

use super::life::Life;
use crate::decide::{Kill, Plan, Reason, is_sidecar};
use crate::labels;
use crate::limits::SYNC_RETRY;
use crate::observed::{Observed, State};
use crate::probes::{Target, has_probes};
use crate::runtime::{Starting, Stopping, observe, run_sandbox, start, stop_container, stop_pod};
use crate::spec::sandbox_config;
use crate::status::Failure;
use crate::told::Told;

/// The sandbox that containers are started in.
struct Place {
    id: String,
    config: PodSandboxConfig,
    ips: Vec<String>,
}

impl Life {
    /// Acts. What fails becomes a reason in the status, and is tried again.
    pub(super) async fn act(&mut self, pod: &Arc<Pod>, seen: &Observed, plan: &Plan) {
        let told = Told::of(&self.context.events, pod);
        if plan.kill_pod {
            if plan.create_sandbox.is_some() && !seen.sandboxes.is_empty() {
                told.normal(
                    "SandboxChanged",
                    "Pod sandbox changed, it will be killed and re-created.",
                );
            }
            let stopped =
                stop_pod(&self.context, Some(pod.as_ref()), seen, None, Some(&told)).await;
            if let Err(error) = stopped {
                tracing::warn!(uid = self.uid, "ending the sandbox: {error}");
                return self.look_again(SYNC_RETRY);
            }
            if plan.create_sandbox.is_none() {
                return self.look_again(Duration::ZERO);
            }
        }
        for kill in &plan.kill {
            if !self.kill(pod, seen, kill, &told).await {
                return self.look_again(SYNC_RETRY);
            }
            self.condemned.insert(kill.id.clone());
        }
        let after;
        let mut seen = seen;
        if !plan.kill.is_empty() {
            // How they ended decides how long they wait.
            after = match self.look().await {
                Ok(after) => after,
                Err(_) => return self.look_again(SYNC_RETRY),
            };
            seen = &after;
        }
        if plan.create_sandbox.is_none() && plan.start_init.is_empty() && plan.start.is_empty() {
            return self.look_again(Duration::ZERO);
        }
        if let Err(error) = self.make_folder() {
            told.warning(
                "FailedToMakePodDataDirectories",
                format!("error making pod data directories: {error}"),
            );
            return self.look_again(SYNC_RETRY);
        }
        // What fails is told in events.
        if self.context.volumes.prepare(pod).await.is_err() {
            return self.look_again(SYNC_RETRY);
        }
        let Some(place) = self.place(pod, seen, plan, &told).await else {
            return self.look_again(SYNC_RETRY);
        };
        let Some(spec) = &pod.spec else {
            return;
        };
        let init = spec.init_containers.as_deref().unwrap_or_default();
        for index in &plan.start_init {
            let container = &init[*index];
            let started = self.start(pod, container, seen, &place, &told).await;
            if !started && !is_sidecar(container) {
                return;
            }
        }
        for index in &plan.start {
            self.start(pod, &spec.containers[*index], seen, &place, &told)
                .await;
        }
        if !plan.start_init.is_empty() {
            self.look_again(Duration::ZERO);
        }
    }

    /// For what the pod has on the node. Others but root and its group have no business there.
    fn make_folder(&self) -> std::io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(self.context.facts.layout.pod(&self.uid))
    }

    async fn kill(&self, pod: &Pod, seen: &Observed, kill: &Kill, told: &Told) -> bool {
        let Some(last) = seen.containers.iter().find(|one| one.id == kill.id) else {
            return true;
        };
        let stopping = Stopping {
            pod: Some(pod),
            address: seen.ips().first().map_or("", String::as_str),
            grace: probe_grace(pod, kill),
            why: &kill.message,
        };
        let stopped = stop_container(&self.context, last, stopping, Some(told)).await;
        if let Err(error) = &stopped {
            tracing::warn!(container = kill.name, "ending: {error}");
        }
        stopped.is_ok()
    }

    /// The sandbox to start in: the one that is there, or a new one.
    async fn place(
        &self,
        pod: &Arc<Pod>,
        seen: &Observed,
        plan: &Plan,
        told: &Told,
    ) -> Option<Place> {
        let parent = match self.context.cgroups.ensure(pod).await {
            Ok(parent) => parent,
            Err(error) => {
                let message = format!(
                    "error: failed to ensure that the pod: {} cgroups exist and are correctly applied: {error}",
                    self.uid
                );
                told.warning("FailedCreatePodContainer", message);
                return None;
            }
        };
        let Some(attempt) = plan.create_sandbox else {
            let sandbox = seen.sandboxes.first()?;
            let config = sandbox_config(pod, sandbox.attempt, &parent, &self.context.facts);
            return Some(Place {
                id: sandbox.id.clone(),
                config: config.ok()?,
                ips: self.ips(pod, seen),
            });
        };
        let made = run_sandbox(&self.context, pod, attempt, &parent, told).await;
        let (id, config) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::warn!(uid = self.uid, "sandbox: {error}");
                return None;
            }
        };
        let seen = observe(&self.context.runtime, &self.uid).await.ok()?;
        Some(Place {
            id,
            config,
            ips: self.ips(pod, &seen),
        })
    }

    fn ips(&self, pod: &Pod, seen: &Observed) -> Vec<String> {
        let host = pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.host_network == Some(true));
        match host {
            true => self.context.host_ips(),
            false => seen.ips().to_vec(),
        }
    }

    /// Whether it was started; why not is kept for the status.
    async fn start(
        &mut self,
        pod: &Arc<Pod>,
        container: &Container,
        seen: &Observed,
        place: &Place,
        told: &Told,
    ) -> bool {
        let name = &container.name;
        if let Some(failure) = self.wait(pod, container, seen, told) {
            self.failures.insert(name.clone(), failure);
            return false;
        }
        let starting = Starting {
            pod,
            container,
            seen,
            sandbox: &place.id,
            sandbox_config: &place.config,
            pod_ips: &place.ips,
        };
        match start(&self.context, starting, told).await {
            Ok(()) => {
                self.failures.remove(name);
                true
            }
            Err(failure) => {
                self.failures.insert(name.clone(), failure);
                self.look_again(SYNC_RETRY);
                false
            }
        }
    }

    /// Why a container that ended is not yet started again.
    fn wait(
        &mut self,
        pod: &Pod,
        container: &Container,
        seen: &Observed,
        told: &Told,
    ) -> Option<Failure> {
        let last = seen.latest(&container.name)?;
        if last.state != State::Exited {
            return None;
        }
        let key = (container.name.clone(), labels::hash(container));
        let failed = self.moment(last.finished_at);
        let now = self.begun.0.elapsed();
        let Some((left, whole)) = self.backoff.remaining(&key, failed, now) else {
            self.backoff.next(key, failed, now);
            return None;
        };
        self.look_again(left);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let words = format!(
            "{}_{}({})",
            text(&meta.name),
            text(&meta.namespace),
            text(&meta.uid)
        );
        let name = &container.name;
        told.container_warning(
            name,
            "BackOff",
            format!("Back-off restarting failed container {name} in pod {words}"),
        );
        Some(Failure {
            reason: "CrashLoopBackOff".to_owned(),
            message: format!(
                "back-off {} restarting failed container={name} pod={words}",
                go_words(whole)
            ),
        })
    }

    /// To be looked at again no later than after this time.
    fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |before| before.min(after)));
    }

    /// Probes those that run, and no others.
    pub(super) fn probe(&mut self, pod: &Pod, seen: &Observed) {
        self.probes.keep(|id| seen.is_running(id));
        let Some(spec) = &pod.spec else {
            return;
        };
        let before = self.ready_before();
        let sidecars = spec
            .init_containers
            .iter()
            .flatten()
            .filter(|one| is_sidecar(one));
        for container in sidecars.chain(&spec.containers) {
            let Some(last) = seen.latest(&container.name) else {
                continue;
            };
            let probed = self.probes.is_probed(&last.id) || !has_probes(container);
            if last.state != State::Running || probed {
                continue;
            }
            let target = Target {
                runtime: self.context.runtime.clone(),
                id: last.id.clone(),
                container: container.clone(),
                address: self.ips(pod, seen).first().cloned().unwrap_or_default(),
            };
            let started = Timestamp::from_nanosecond(i128::from(last.started_at));
            let ready = before.get(&last.id).copied().unwrap_or(false);
            self.probes
                .begin(&target, started.unwrap_or(self.begun.1), ready);
        }
    }
}

/// Seconds that a probe gives to what it condemns.
fn probe_grace(pod: &Pod, kill: &Kill) -> Option<i64> {
    if pod.metadata.deletion_grace_period_seconds.is_some() {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let mut all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let container = all.find(|container| container.name == kill.name)?;
    let probe = match kill.reason {
        Reason::Liveness => container.liveness_probe.as_ref(),
        Reason::Startup => container.startup_probe.as_ref(),
        Reason::Changed | Reason::Unknown => None,
    };
    probe?.termination_grace_period_seconds
}

/// As Go writes durations of whole seconds: `10s`, `2m40s`.
fn go_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (seconds, words) in [(10, "10s"), (160, "2m40s"), (300, "5m0s")] {
            assert_eq!(go_words(Duration::from_secs(seconds)), words);
        }
    }
}
