//! Tells the apiserver how pods are, and when a deleted one may go.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Client};
use mainstay_client::{Informer, Key, Queue};
use parking_lot::Mutex;

use crate::limits::STATUS_WRITERS;

/// Under this annotation a mirror pod says which static pod it shows.
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is to be told of one pod.
#[derive(Clone, Debug)]
struct Report {
    key: Key,
    /// A static pod's is told of by its mirror, which has this annotation.
    is_static: bool,
    status: PodStatus,
    /// Nothing of the pod is left: if it is deleted it may go.
    over: bool,
}

/// The newest status of every pod, until the apiserver has it. Cheap to clone.
#[derive(Clone)]
pub struct Statuses {
    client: Client,
    pods: Arc<Informer<Pod>>,
    queue: Queue<String>,
    reports: Arc<Mutex<HashMap<String, Report>>>,
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statuses")
            .field("reports", &self.reports.lock().len())
            .finish_non_exhaustive()
    }
}

impl Statuses {
    pub fn new(client: Client, pods: Arc<Informer<Pod>>, queue: Queue<String>) -> Self {
        Self {
            client,
            pods,
            queue,
            reports: Arc::default(),
        }
    }

    /// What the apiserver has of a static pod, by its mirror.
    pub fn shown(&self, pod: &Pod) -> Option<PodStatus> {
        let uid = pod.metadata.uid.as_deref()?;
        let mirror = self.pods.cache().get(&Key::of(pod))?;
        match is_static(pod) && shows(&mirror, uid, true) {
            true => mirror.status.clone(),
            false => None,
        }
    }

    /// What was last told of a pod, or is about to be.
    pub fn latest(&self, uid: &str) -> Option<PodStatus> {
        let reports = self.reports.lock();
        reports.get(uid).map(|report| report.status.clone())
    }

    /// To be told. `over`: nothing of the pod is left.
    pub fn tell(&self, pod: &Pod, status: PodStatus, over: bool) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let report = Report {
            key: Key::of(pod),
            is_static: is_static(pod),
            status,
            over,
        };
        self.reports.lock().insert(uid.clone(), report);
        self.queue.add(uid);
    }

    /// The object of a pod has changed: what was told before may have to be told again.
    pub fn changed(&self, uid: &str) {
        if self.reports.lock().contains_key(uid) {
            self.queue.add(uid.to_owned());
        }
    }

    /// The pod is gone.
    pub fn forget(&self, uid: &str) {
        self.reports.lock().remove(uid);
    }

    /// Tells until it is dropped.
    pub async fn run(self) {
        let queue = self.queue.clone();
        let work = move |uid: String| {
            let statuses = self.clone();
            async move { statuses.write(&uid).await.map(|()| None) }
        };
        queue.work(STATUS_WRITERS, work).await;
    }

    async fn write(&self, uid: &str) -> Result<(), kube::Error> {
        let Some(report) = self.reports.lock().get(uid).cloned() else {
            return Ok(());
        };
        let namespace = report.key.namespace.as_ref();
        let name = report.key.name.as_ref();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let mut cached = self
            .pods
            .cache()
            .get(&report.key)
            .map(|pod| pod.as_ref().clone());
        // A pod is known from there, so it is gone; or it is a mirror that is not there yet, and is told of when it is seen.
        if cached.is_none() {
            return Ok(());
        }
        for attempt in 0..2 {
            let pod = match cached.take() {
                Some(pod) => Some(pod),
                None => match api.get_opt(name).await {
                    // What is gone a node may not ask for.
                    Err(kube::Error::Api(status)) if status.code == 403 => None,
                    found => found?,
                },
            };
            let Some(pod) = pod.filter(|pod| shows(pod, uid, report.is_static)) else {
                return Ok(());
            };
            match self.write_to(&api, pod, &report).await {
                // The cache was behind.
                Err(kube::Error::Api(status)) if status.code == 409 && attempt == 0 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                written => return written,
            }
        }
        Ok(())
    }

    async fn write_to(
        &self,
        api: &Api<Pod>,
        mut pod: Pod,
        report: &Report,
    ) -> Result<(), kube::Error> {
        let name = report.key.name.as_ref();
        let old = pod.status.clone().unwrap_or_default();
        let new = merged(&old, &report.status);
        if new != old {
            pod.status = Some(new);
            pod = api
                .replace_status(name, &PostParams::default(), &pod)
                .await?;
        }
        if report.over && !report.is_static && pod.metadata.deletion_timestamp.is_some() {
            let params = DeleteParams {
                grace_period_seconds: Some(0),
                preconditions: Some(Preconditions {
                    uid: pod.metadata.uid.clone(),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            api.delete(name, &params).await?;
        }
        Ok(())
    }
}

/// Whether a pod of the apiserver is the one with this uid, or its mirror.
fn shows(pod: &Pod, uid: &str, is_static: bool) -> bool {
    match is_static {
        true => {
            let marks = pod.metadata.annotations.as_ref();
            marks
                .and_then(|marks| marks.get(MIRROR))
                .map(String::as_str)
                == Some(uid)
        }
        false => pod.metadata.uid.as_deref() == Some(uid),
    }
}

/// Whether a pod comes from this node and not from the apiserver.
pub fn is_static(pod: &Pod) -> bool {
    let marks = pod.metadata.annotations.as_ref();
    marks
        .and_then(|marks| marks.get("kubernetes.io/config.source"))
        .is_some_and(|source| source != "api")
}

/// Conditions that others set stay as the apiserver has them.
fn merged(old: &PodStatus, own: &PodStatus) -> PodStatus {
    const OWN: [&str; 5] = [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ];
    let is_own = |condition: &&PodCondition| OWN.contains(&condition.type_.as_str());
    let mut conditions: Vec<PodCondition> = own
        .conditions
        .iter()
        .flatten()
        .filter(is_own)
        .cloned()
        .collect();
    for condition in &mut conditions {
        let mut before = old.conditions.iter().flatten();
        let before = before.find(|before| before.type_ == condition.type_);
        // Since when it holds is what was said first.
        if let Some(before) = before.filter(|before| before.status == condition.status) {
            condition
                .last_transition_time
                .clone_from(&before.last_transition_time);
        }
    }
    let others = old.conditions.iter().flatten();
    conditions.extend(others.filter(|condition| !is_own(condition)).cloned());
    PodStatus {
        conditions: Some(conditions),
        phase: own.phase.clone(),
        reason: own.reason.clone(),
        message: own.message.clone(),
        host_ip: own.host_ip.clone(),
        host_ips: own.host_ips.clone(),
        pod_ip: own.pod_ip.clone(),
        pod_ips: own.pod_ips.clone(),
        start_time: old.start_time.clone().or_else(|| own.start_time.clone()),
        qos_class: own.qos_class.clone().or_else(|| old.qos_class.clone()),
        init_container_statuses: own.init_container_statuses.clone(),
        container_statuses: own.container_statuses.clone(),
        observed_generation: own.observed_generation,
        ..old.clone()
    }
}
