//! All volumes of a node's pods.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Volume};
use kube::Client;
use mainstay_client::Events;
use mainstay_cri::Mount;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::atomic_writer::Payload;
use super::container_mounts::container_mounts;
use super::payload::{PayloadSources, payload, token_sources};
use super::set_up::set_up;
use super::sources::{Plugin, References};
use super::tear_down::{orphans, tear_down};
use super::tokens::Tokens;
use super::watched::Watched;
use crate::limits::{MOUNT_BACKOFF_MAX, MOUNT_BACKOFF_MIN, MOUNT_DEADLINE, VOLUMES_LOOK};
use crate::spec::{ConfigError, Environment, NodeFacts, Objects};

/// Volumes that could not be made, with the reason for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct MountError {
    /// Name of the volume and what was wrong.
    pub failed: Vec<(String, String)>,
}

impl MountError {
    /// As events have it, one for each volume.
    pub fn messages(&self) -> impl Iterator<Item = String> {
        let message = |(volume, why): &(String, String)| {
            format!("MountVolume.SetUp failed for volume {volume:?} : {why}")
        };
        self.failed.iter().map(message)
    }

    fn words(&self) -> String {
        self.messages().collect::<Vec<_>>().join("; ")
    }

    fn deadline(&self) -> String {
        let names: Vec<_> = self
            .failed
            .iter()
            .map(|(volume, _)| volume.as_str())
            .collect();
        format!(
            "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[], failed to process \
             volumes=[]: context deadline exceeded",
            names.join(" ")
        )
    }
}

/// A pod whose volumes are looked after.
struct Known {
    pod: Arc<Pod>,
    /// Held by whoever works on the pod's files; says whether all volumes were made.
    mounted: Arc<tokio::sync::Mutex<bool>>,
}

/// Makes what pods need mounted, keeps its files as their sources are, and takes it away. What is on the node is the
/// only memory: a kubelet that starts anew finds it there.
pub struct Volumes {
    node: NodeFacts,
    config_maps: Watched<ConfigMap>,
    secrets: Watched<Secret>,
    tokens: Tokens,
    events: Events,
    pods: Mutex<HashMap<String, Known>>,
    changed: Arc<watch::Sender<u64>>,
}

impl std::fmt::Debug for Volumes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volumes")
            .field("pods", &self.pods.lock().len())
            .field("config_maps", &self.config_maps)
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

impl Volumes {
    /// `client` is the node's: it reads what the Node authorizer lets it.
    #[must_use]
    pub fn new(client: Client, events: Events, node: NodeFacts) -> Arc<Self> {
        let changed = Arc::new(watch::channel(0).0);
        Arc::new(Self {
            node,
            config_maps: Watched::new(client.clone(), Arc::clone(&changed)),
            secrets: Watched::new(client.clone(), Arc::clone(&changed)),
            tokens: Tokens::new(client),
            events,
            pods: Mutex::default(),
            changed,
        })
    }

    /// Looks after a pod from now on, and after what it has become: call it with each state of a pod that has not
    /// ended. Must be called within a runtime.
    pub fn follow(&self, pod: &Arc<Pod>) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let names = References::of(pod);
        self.config_maps
            .refer(&uid, namespace, names.config_maps.iter());
        self.secrets.refer(&uid, namespace, names.secrets.iter());
        let version = |pod: &Pod| pod.metadata.resource_version.clone();
        let mut pods = self.pods.lock();
        let known = pods.entry(uid).or_insert_with(|| Known {
            pod: Arc::clone(pod),
            mounted: Arc::default(),
        });
        // Labels and annotations may stand in files.
        if version(&known.pod) != version(pod) {
            known.pod = Arc::clone(pod);
            self.changed
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// The objects of a container's variables, as they are now; what is not there is left out.
    ///
    /// # Errors
    /// If the apiserver does not say.
    pub async fn objects(&self, pod: &Arc<Pod>, container: &Container) -> Result<Objects, String> {
        self.follow(pod);
        self.found(pod, References::of_environment(container)).await
    }

    /// A secret that a pod refers to, such as one of `imagePullSecrets`.
    ///
    /// # Errors
    /// If the apiserver does not say.
    pub async fn secret(&self, pod: &Arc<Pod>, name: &str) -> Result<Option<Arc<Secret>>, String> {
        self.follow(pod);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        self.secrets.get(namespace, name).await
    }

    /// Makes all volumes of a pod, once. Those that were all made before are left to [`Volumes::run`].
    ///
    /// # Errors
    /// Which could not be made. The others are.
    pub async fn try_prepare(&self, pod: &Arc<Pod>) -> Result<(), MountError> {
        self.follow(pod);
        self.refresh(pod, |mounted| !mounted).await
    }

    /// Counts changes of objects that pods refer to: after one of them it is worth while to try again.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Makes all volumes of a pod, and waits for what they name if it is not there, with an event for each failure.
    /// May be dropped at any moment.
    ///
    /// # Errors
    /// If they are not made within [`MOUNT_DEADLINE`]; an event says so, and it can be called again.
    pub async fn prepare(&self, pod: &Arc<Pod>) -> Result<(), MountError> {
        let deadline = Instant::now() + MOUNT_DEADLINE;
        let mut pause = MOUNT_BACKOFF_MIN;
        loop {
            let mut changed = self.changed.subscribe();
            let Err(error) = self.try_prepare(pod).await else {
                return Ok(());
            };
            for message in error.messages() {
                self.events.warning(pod.as_ref(), "FailedMount", message);
            }
            if Instant::now() + pause > deadline {
                self.events
                    .warning(pod.as_ref(), "FailedMount", error.deadline());
                return Err(error);
            }
            // An object may have come; a folder of the node comes silently.
            let _ = timeout(pause, changed.changed()).await;
            pause = (pause * 2).min(MOUNT_BACKOFF_MAX);
        }
    }

    /// What a container of a pod whose volumes are there shall find mounted.
    ///
    /// # Errors
    /// If there is no such volume, or a part of one leads out of it.
    pub async fn container_mounts(
        &self,
        pod: &Arc<Pod>,
        container: &Container,
        environment: &Environment,
        pod_ips: &[String],
    ) -> Result<Vec<Mount>, ConfigError> {
        let (pod, container) = (Arc::clone(pod), container.clone());
        let (environment, pod_ips) = (environment.clone(), pod_ips.to_vec());
        let node = self.node.clone();
        let made = move || container_mounts(&pod, &container, &environment, &pod_ips, &node);
        let made = spawn_blocking(made).await;
        made.unwrap_or_else(|error| Err(ConfigError::new(error.to_string())))
    }

    /// Keeps files of volumes as their sources are, until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let mut changed = self.changed.subscribe();
        let mut looked = Instant::now();
        loop {
            let left = VOLUMES_LOOK.saturating_sub(looked.elapsed());
            let look = tokio::select! {
                () = sleep(left) => true,
                _ = changed.changed() => false,
            };
            if look {
                looked = Instant::now();
            }
            changed.mark_unchanged();
            let pods: Vec<_> = self
                .pods
                .lock()
                .values()
                .map(|known| Arc::clone(&known.pod))
                .collect();
            for pod in pods {
                let Err(error) = self.refresh(&pod, |mounted| mounted).await else {
                    continue;
                };
                // What was there stays. Said once in a while and not for every change of anything.
                for message in error.messages().filter(|_| look) {
                    self.events.warning(pod.as_ref(), "FailedMount", message);
                }
            }
        }
    }

    /// Takes away all that a pod has on the node but its logs. Its containers must be gone.
    ///
    /// # Errors
    /// If something is in use; it can be called again.
    pub async fn tear_down(&self, uid: &str) -> std::io::Result<()> {
        let known = self.pods.lock().remove(uid);
        self.config_maps.refer(uid, "", std::iter::empty());
        self.secrets.refer(uid, "", std::iter::empty());
        self.tokens.forget(uid);
        // Whoever still writes its files ends first.
        let lock = match known {
            Some(known) => Some(known.mounted.lock_owned().await),
            None => None,
        };
        let (layout, uid) = (self.node.layout.clone(), uid.to_owned());
        let gone = spawn_blocking(move || {
            let _lock = lock;
            tear_down(&layout, &uid)
        });
        gone.await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// Takes away what pods left that are not among these uids, such as those that went while no kubelet ran.
    /// `alive` must hold every pod that has or may get a container. What cannot go yet is left for the next time.
    pub async fn clean(&self, alive: &HashSet<String>) {
        let (layout, alive) = (self.node.layout.clone(), alive.clone());
        let found = spawn_blocking(move || orphans(&layout, &alive)).await;
        let found = found.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        match found {
            Ok(found) => {
                for uid in found {
                    if let Err(error) = self.tear_down(&uid).await {
                        tracing::warn!(uid, "a pod that is gone left volumes: {error}");
                    }
                }
            }
            Err(error) => tracing::warn!("looking for volumes of pods that are gone: {error}"),
        }
    }

    async fn found(&self, pod: &Pod, names: References) -> Result<Objects, String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let mut objects = Objects::default();
        for name in names.config_maps {
            if let Some(found) = self.config_maps.get(namespace, &name).await? {
                objects.config_maps.insert(name, found);
            }
        }
        for name in names.secrets {
            if let Some(found) = self.secrets.get(namespace, &name).await? {
                objects.secrets.insert(name, found);
            }
        }
        Ok(objects)
    }

    /// Makes volumes and files of a pod be as they shall, if `wanted` says so of whether they were made before.
    async fn refresh(
        &self,
        pod: &Arc<Pod>,
        wanted: impl Fn(bool) -> bool,
    ) -> Result<(), MountError> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let lock = self
            .pods
            .lock()
            .get(uid)
            .map(|known| Arc::clone(&known.mounted));
        let Some(lock) = lock else {
            return Ok(());
        };
        let mut mounted = lock.lock_owned().await;
        // It may have been taken away meanwhile.
        if !wanted(*mounted) || !self.pods.lock().contains_key(uid) {
            return Ok(());
        }
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.clone());
        let mut failed = Vec::new();
        let mut ready = Vec::new();
        for volume in volumes.into_iter().flatten() {
            match self.files(pod, &volume).await {
                Ok(files) => ready.push((volume, files)),
                Err(why) => failed.push((volume.name, why)),
            }
        }
        let (pod, node) = (Arc::clone(pod), self.node.clone());
        // The lock goes along: whoever waits for it sees the work done, even if nobody waits for this.
        let made = spawn_blocking(move || {
            for (volume, files) in ready {
                if let Err(why) = set_up(&pod, &volume, files, &node) {
                    failed.push((volume.name, why));
                }
            }
            *mounted |= failed.is_empty();
            failed
        });
        match made.await {
            Ok(failed) if failed.is_empty() => Ok(()),
            Ok(failed) => Err(MountError { failed }),
            Err(error) => Err(MountError {
                failed: vec![(String::new(), error.to_string())],
            }),
        }
    }

    /// The files of a volume, if they are the kubelet's.
    async fn files(&self, pod: &Pod, volume: &Volume) -> Result<Option<Payload>, String> {
        if !Plugin::of(volume).is_some_and(Plugin::is_projected) {
            return Ok(None);
        }
        let objects = self.found(pod, References::of_volume(volume)).await?;
        let mut tokens = Vec::new();
        for source in token_sources(volume) {
            tokens.push(self.tokens.get(pod, source).await?);
        }
        let from = PayloadSources {
            pod,
            node: &self.node,
            objects: &objects,
            tokens: &tokens,
        };
        payload(volume, from)
            .map(Some)
            .map_err(|error| error.to_string())
    }
}
