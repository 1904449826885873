//! The controller's loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::SelectorExt as _;
use mainstay_client::{Change, Informer, Key, Queue, controller_of, selector, unless_gone};

use super::count::{covers, desired, disrupted, healthy, needs_scale};
use super::events::unmanaged;
use super::failed::Failed;
use super::owners::Owners;
use super::stale::{reset, stale_in};
use super::status::{Counted, SYNC_FAILED, counted, failed};
use crate::context::Context;
use crate::limits::DISRUPTION_WORKERS;
use crate::pods::is_ready;

/// Keeps the status of disruption budgets, and takes back what was said of pods that were to go and did not.
pub async fn disruption(cx: Context) {
    let controller = Arc::new(Controller {
        budgets: cx.informers.of(),
        pods: cx.informers.of(),
        owners: Owners::new(&cx),
        queue: cx.queue("disruption"),
        stale: cx.queue("stale_pod_disruption"),
        cx,
    });
    controller.run().await;
}

struct Controller {
    cx: Context,
    budgets: Arc<Informer<PodDisruptionBudget>>,
    pods: Arc<Informer<Pod>>,
    owners: Owners,
    queue: Queue<Key>,
    /// Pods.
    stale: Queue<Key>,
}

impl Controller {
    async fn run(self: Arc<Self>) {
        self.budgets.names_into(&self.queue);
        self.pods.on_for(&self, Self::pod_changed);
        self.follow_owners();
        self.budgets.synced().await;
        self.pods.synced().await;
        self.owners.synced().await;
        let work = async |this: Arc<Self>, key: Key| this.sync(&key).await;
        let clean = async |this: Arc<Self>, key: Key| this.clean(&key).await;
        tokio::join!(
            self.queue.work_for(&self, DISRUPTION_WORKERS, work),
            self.stale.work_for(&self, 1, clean)
        );
    }

    /// Upstream looks again only when pods change; a budget of a deployment that is scaled down to what it has would
    /// stay closed.
    fn follow_owners(self: &Arc<Self>) {
        let this = Arc::clone(self);
        self.owners.deployments.on(move |change| {
            this.owner_changed(&change, |owner| {
                let spec = owner.spec.as_ref()?;
                Some((spec.replicas, &spec.template))
            });
        });
        let this = Arc::clone(self);
        self.owners.replica_sets.on(move |change| {
            this.owner_changed(&change, |owner| {
                let spec = owner.spec.as_ref()?;
                Some((spec.replicas, spec.template.as_ref()?))
            });
        });
        let this = Arc::clone(self);
        self.owners.replication_controllers.on(move |change| {
            this.owner_changed(&change, |owner| {
                let spec = owner.spec.as_ref()?;
                Some((spec.replicas, spec.template.as_ref()?))
            });
        });
        let this = Arc::clone(self);
        self.owners.stateful_sets.on(move |change| {
            this.owner_changed(&change, |owner| {
                let spec = owner.spec.as_ref()?;
                Some((spec.replicas, &spec.template))
            });
        });
    }

    fn owner_changed<K: kube::Resource>(
        &self,
        change: &Change<'_, K>,
        scale: impl Fn(&K) -> Option<(Option<i32>, &PodTemplateSpec)>,
    ) {
        let object = change.object();
        if let Change::Updated { old, new } = change {
            let replicas = |owner| scale(owner).map(|(replicas, _)| replicas);
            if replicas(old) == replicas(new) {
                return;
            }
        }
        let template = scale(object.as_ref()).map(|(_, template)| template);
        let labels = template.and_then(|template| template.metadata.as_ref()?.labels.as_ref());
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        self.wake(namespace, labels);
    }

    fn pod_changed(&self, change: &Change<'_, Pod>) {
        let pod = change.object();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        if let Change::Updated { old, new } = change {
            if !matters(old, new) {
                return;
            }
            if old.metadata.labels != new.metadata.labels {
                self.wake(namespace, old.metadata.labels.as_ref());
            }
        }
        if !matches!(change, Change::Deleted(_))
            && let Some(after) = stale_in(pod, Timestamp::now())
        {
            self.stale.add_after(Key::of(pod.as_ref()), after);
        }
        let woken = self.wake(namespace, pod.metadata.labels.as_ref());
        if let ([first, _, ..], Change::Added(_) | Change::Updated { .. }) = (&woken[..], change) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let text = format!(
                "Pod {namespace:?}/{name:?} matches multiple PodDisruptionBudgets.  Chose {first:?} arbitrarily."
            );
            let events = &self.cx.events;
            events.warning(pod.as_ref(), "MultiplePodDisruptionBudgets", text);
        }
    }

    /// Has all budgets over pods with these labels counted, and returns their names.
    fn wake(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> Vec<String> {
        let none = BTreeMap::new();
        let mut budgets = self.budgets.cache().in_namespace(namespace);
        budgets.retain(|budget| covers(budget, labels.unwrap_or(&none)));
        let keys = budgets.iter().map(|budget| Key::of(budget.as_ref()));
        keys.inspect(|key| self.queue.add(key.clone()))
            .map(|key| key.name)
            .collect()
    }

    async fn sync(&self, key: &Key) -> Result<Option<Duration>, Failed> {
        let Some(budget) = self.budgets.cache().get(key) else {
            return Ok(None);
        };
        match self.count(key, &budget).await {
            Err(error) if error.is_absent() && self.is_gone(key).await => Ok(None),
            Err(error) if !error.is_conflict() => {
                let status = failed(&budget, &error.to_string(), Timestamp::now());
                self.write(key, &budget, status).await?;
                // What failed may be a server that is away for a while: nothing would tell of its return.
                Err(error)
            }
            other => other,
        }
    }

    async fn is_gone(&self, key: &Key) -> bool {
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        matches!(api.get_opt(&key.name).await, Ok(None))
    }

    async fn count(
        &self,
        key: &Key,
        budget: &PodDisruptionBudget,
    ) -> Result<Option<Duration>, Failed> {
        let events = &self.cx.events;
        let spec = budget.spec.clone().unwrap_or_default();
        let pods = match self.pods_of(key, budget) {
            Ok(pods) => pods,
            Err(error) => {
                let text = format!("Failed to get pods: {error}");
                self.tell_failure(budget, "NoPods", text, &error);
                return Err(error);
            }
        };
        if pods.is_empty() {
            events.normal(budget, "NoPods", "No matching pods found");
        }
        let expected = match needs_scale(&spec) {
            false if spec.min_available.is_none() => 0,
            false => i32::try_from(pods.len()).unwrap_or(i32::MAX),
            true => match self.owners.scale(&pods).await {
                Ok(scale) => {
                    if scale.unmanaged {
                        let text = unmanaged(spec.selector.as_ref());
                        events.warning(budget, "UnmanagedPods", text);
                    }
                    scale.pods
                }
                Err(error) => {
                    let text = format!("Failed to calculate the number of expected pods: {error}");
                    self.tell_failure(budget, "CalculateExpectedPodCountFailed", text, &error);
                    return Err(error);
                }
            },
        };
        let now = Timestamp::now();
        let listed = budget.status.as_ref();
        let listed = listed.and_then(|status| status.disrupted_pods.as_ref());
        let going = disrupted(listed, &pods, now);
        for pod in &going.late {
            let text = format!("Pod was expected by PDB {key} to be deleted but it wasn't");
            events.warning(pod.as_ref(), "NotDeleted", text);
        }
        let seen = Counted {
            expected,
            desired: desired(&spec, expected),
            healthy: healthy(&pods, &going.since),
            disrupted: going.since,
        };
        self.write(key, budget, counted(budget, seen, now)).await?;
        Ok(going.again)
    }

    fn pods_of(&self, key: &Key, budget: &PodDisruptionBudget) -> Result<Vec<Arc<Pod>>, Failed> {
        let wanted = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let Some(wanted) = selector(wanted).map_err(Failed::Selector)? else {
            return Ok(Vec::new());
        };
        let none = BTreeMap::new();
        let mut pods = self.pods.cache().in_namespace(&key.namespace);
        pods.retain(|pod| wanted.matches(pod.metadata.labels.as_ref().unwrap_or(&none)));
        Ok(pods)
    }

    /// Once for each failure, however often it is tried again.
    fn tell_failure(
        &self,
        budget: &PodDisruptionBudget,
        reason: &str,
        text: String,
        error: &Failed,
    ) {
        let status = budget.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let why = error.to_string();
        let mut known = conditions.into_iter().flatten();
        if !known.any(|one| one.reason == SYNC_FAILED && one.message == why) {
            self.cx.events.warning(budget, reason, text);
        }
    }

    /// Writes the status if it is another one.
    async fn write(
        &self,
        key: &Key,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<(), Failed> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let mut told = budget.clone();
        told.status = Some(status);
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        // With the resourceVersion of the cache: an eviction that was agreed to meanwhile is a conflict, not lost.
        api.replace_status(&key.name, &PostParams::default(), &told)
            .await?;
        Ok(())
    }

    /// Takes back what is said of one pod.
    async fn clean(&self, key: &Key) -> Result<Option<Duration>, Failed> {
        let Some(pod) = self.pods.cache().get(key) else {
            return Ok(None);
        };
        let now = Timestamp::now();
        match stale_in(&pod, now) {
            None => return Ok(None),
            Some(Duration::ZERO) => {}
            later => return Ok(later),
        }
        let api: Api<Pod> = Api::namespaced(self.cx.client.clone(), &key.namespace);
        let patch = Patch::Strategic(reset(&pod, now));
        let params = PatchParams::default();
        unless_gone(api.patch_status(&key.name, &params, &patch).await)?;
        Ok(None)
    }
}

/// Whether a change of a pod can change a budget, or what is said of the pod.
fn matters(old: &Pod, new: &Pod) -> bool {
    let now = Timestamp::now();
    let state = |pod: &Pod| {
        let stale = stale_in(pod, now).is_some();
        (
            is_ready(pod),
            pod.metadata.deletion_timestamp.is_some(),
            stale,
        )
    };
    state(old) != state(new)
        || old.metadata.labels != new.metadata.labels
        || controller_of(old) != controller_of(new)
}
