//! The cgroups of a node's pods.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use tokio::task::spawn_blocking;

use super::bounds::Bounds;
use super::hierarchy::Hierarchy;
use super::name::{CgroupName, Driver, uid_of};
use super::tree::{bound, children, create, remove};
use crate::spec::{NodeFacts, QosClass};

const CLASSES: [QosClass; 3] = [
    QosClass::Guaranteed,
    QosClass::Burstable,
    QosClass::BestEffort,
];

/// The cgroups of a node's pods: `/kubepods` for all, with what the node can give them; below it one for each class
/// but the guaranteed, and in these one for each pod. With systemd's driver only the names are made here: systemd makes
/// the slices when the runtime asks for them, and pods as a whole have no bounds.
#[derive(Clone, Debug)]
pub struct Cgroups {
    hierarchy: Hierarchy,
    pods: CgroupName,
    driver: Driver,
    cpu_quota: bool,
    cpu_period: i64,
    /// Processes of a pod: `--pod-max-pids`.
    pids: Option<i64>,
}

impl Cgroups {
    /// Below `root` (`--cgroup-root`), on this machine.
    ///
    /// # Errors
    /// If no cgroups are mounted.
    pub fn new(
        root: &str,
        driver: Driver,
        pids: Option<i64>,
        node: &NodeFacts,
    ) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            hierarchy: Hierarchy::detect()?,
            pods: CgroupName::pods(root),
            driver,
            cpu_quota: node.cpu_quota,
            cpu_period: node.cpu_period,
            pids,
        }))
    }

    /// The cgroup of a pod as a runtime wants it.
    #[must_use]
    pub fn parent_of(&self, pod: &Pod) -> String {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        self.pods
            .class(QosClass::of(pod))
            .pod(uid)
            .text(self.driver)
    }

    /// The cgroup of all pods.
    #[must_use]
    pub fn root(&self) -> String {
        self.pods.text(self.driver)
    }

    /// Makes what pods' cgroups are in, bounded by what the node can give to pods (`allocatable`).
    ///
    /// # Errors
    /// If the kernel refuses to make them. Bounds that it refuses, since more is in use, are told in the log.
    pub async fn start(
        self: &Arc<Self>,
        allocatable: BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>,
    ) -> io::Result<()> {
        self.blocking(move |own| {
            for class in CLASSES {
                create(&own.hierarchy, &own.text(&own.pods.class(class)))?;
            }
            let root = own.text(&own.pods);
            if let Err(error) = bound(&own.hierarchy, &root, &Bounds::of_node(&allocatable)) {
                tracing::warn!("failed to update Node Allocatable Limits: {error}");
            }
            own.bound_classes(&[])
        })
        .await
    }

    /// Gives each class of pods what its pods ask for together. Call it when pods come and go, and now and then.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn update(self: &Arc<Self>, pods: Vec<Arc<Pod>>) -> io::Result<()> {
        self.blocking(move |own| own.bound_classes(&pods)).await
    }

    /// Makes a pod's cgroup, if it is not there, and gives its name for the runtime.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn ensure(self: &Arc<Self>, pod: &Arc<Pod>) -> io::Result<String> {
        let parent = self.parent_of(pod);
        let (pod, name) = (Arc::clone(pod), parent.clone());
        self.blocking(move |own| {
            create(&own.hierarchy, &name)?;
            let bounds = Bounds::of_pod(&pod, own.cpu_quota, own.cpu_period, own.pids);
            bound(&own.hierarchy, &name, &bounds)
        })
        .await?;
        Ok(parent)
    }

    /// Removes the cgroup of a pod that is gone, whatever its class was, and ends what is still in it.
    ///
    /// # Errors
    /// If something in it does not end; it can be called again.
    pub async fn remove(self: &Arc<Self>, uid: &str) -> io::Result<()> {
        let uid = uid.to_owned();
        self.blocking(move |own| {
            if uid.is_empty() || uid.contains('/') {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "not a pod's uid",
                ));
            }
            CLASSES.into_iter().try_for_each(|class| {
                let name = own.pods.class(class).pod(&uid);
                remove(&own.hierarchy, &own.text(&name))
            })
        })
        .await
    }

    /// Uids of pods that have a cgroup and are not among `alive`.
    ///
    /// # Errors
    /// If the kernel's trees cannot be read.
    pub async fn orphans(self: &Arc<Self>, alive: HashSet<String>) -> io::Result<Vec<String>> {
        let mut found = HashSet::new();
        let own = Arc::clone(self);
        let names = spawn_blocking(move || {
            let mut names = Vec::new();
            if own.driver == Driver::Cgroupfs {
                for class in CLASSES {
                    names.extend(children(&own.hierarchy, &own.text(&own.pods.class(class)))?);
                }
            }
            io::Result::Ok(names)
        });
        let names = names.await.map_err(io::Error::other)??;
        found.extend(
            names
                .iter()
                .filter_map(|name| uid_of(name))
                .map(str::to_owned),
        );
        Ok(found.difference(&alive).cloned().collect())
    }

    fn bound_classes(&self, pods: &[Arc<Pod>]) -> io::Result<()> {
        for class in [QosClass::Burstable, QosClass::BestEffort] {
            let name = self.text(&self.pods.class(class));
            bound(&self.hierarchy, &name, &Bounds::of_class(class, pods))?;
        }
        Ok(())
    }

    fn text(&self, name: &CgroupName) -> String {
        name.text(Driver::Cgroupfs)
    }

    /// Nothing, with systemd's driver.
    async fn blocking(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        if self.driver == Driver::Systemd {
            return Ok(());
        }
        let own = Arc::clone(self);
        let done = spawn_blocking(move || work(&own)).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{facts, pod};
    use std::process::{Child, Command};

    /// Of this test alone; nothing if this machine has none that can be written.
    fn cgroups(name: &str) -> Option<Arc<Cgroups>> {
        let root = format!("/mainstay-test-{}-{name}", std::process::id());
        let made = Cgroups::new(&root, Driver::Cgroupfs, Some(100), &facts()).ok();
        let made = made.filter(|made| create(&made.hierarchy, &root).is_ok());
        if made.is_none() {
            eprintln!("skipped: cgroups cannot be made here");
        }
        made
    }

    fn clean(cgroups: &Cgroups, name: &str) {
        let root = format!("/mainstay-test-{}-{name}", std::process::id());
        remove(&cgroups.hierarchy, &root).expect("removed");
    }

    fn read(cgroups: &Cgroups, controller: &str, cgroup: &str, v1: &str, v2: &str) -> String {
        let file = match &cgroups.hierarchy {
            Hierarchy::V1(_) => v1,
            Hierarchy::V2(_) => v2,
        };
        let folder = cgroups
            .hierarchy
            .folder(controller, cgroup)
            .expect("a controller");
        let text = std::fs::read_to_string(folder.join(file)).expect("readable");
        text.trim().to_owned()
    }

    /// A process in a cgroup.
    fn sleeper(cgroups: &Cgroups, cgroup: &str) -> Child {
        let child = Command::new("sleep").arg("60").spawn().expect("started");
        for folder in cgroups.hierarchy.folders(cgroup) {
            std::fs::write(folder.join("cgroup.procs"), child.id().to_string()).expect("moved");
        }
        child
    }

    #[tokio::test]
    async fn pods_have_cgroups_in_every_tree_while_they_live() {
        let Some(cgroups) = cgroups("life") else {
            return;
        };
        cgroups.start(facts().allocatable).await.expect("made");
        let pod = Arc::new(pod(
            "containers: [{name: a, resources: {requests: {cpu: 100m}, limits: {cpu: 200m, memory: 64Mi}}}]",
        ));
        let parent = cgroups.ensure(&pod).await.expect("made");
        assert!(parent.ends_with("/kubepods/burstable/podu-1"), "{parent}");
        assert!(
            cgroups
                .hierarchy
                .folders(&parent)
                .iter()
                .all(|folder| folder.is_dir())
        );
        assert_eq!(
            read(&cgroups, "cpu", &parent, "cpu.shares", "cpu.weight"),
            match &cgroups.hierarchy {
                Hierarchy::V1(_) => "102",
                Hierarchy::V2(_) => "4",
            }
        );
        let memory = read(
            &cgroups,
            "memory",
            &parent,
            "memory.limit_in_bytes",
            "memory.max",
        );
        assert_eq!(memory, (64 << 20).to_string());
        assert_eq!(
            read(&cgroups, "pids", &parent, "pids.max", "pids.max"),
            "100"
        );
        cgroups
            .update(vec![Arc::clone(&pod)])
            .await
            .expect("updated");
        cgroups.ensure(&pod).await.expect("it is there");
        // A container that nobody ended, in a cgroup of its own.
        let inner = format!("{parent}/container");
        create(&cgroups.hierarchy, &inner).expect("made");
        let mut child = sleeper(&cgroups, &inner);
        let alive = HashSet::from(["u-2".to_owned()]);
        assert_eq!(cgroups.orphans(alive).await.expect("read"), ["u-1"]);
        // Removal waits until the process is gone, which needs its parent to look.
        let waiter = std::thread::spawn(move || child.wait().expect("ended"));
        cgroups.remove("u-1").await.expect("removed");
        assert!(!waiter.join().expect("joined").success());
        assert!(
            cgroups
                .hierarchy
                .folders(&parent)
                .iter()
                .all(|folder| !folder.exists())
        );
        cgroups.remove("u-1").await.expect("it is gone");
        let none = cgroups.orphans(HashSet::new()).await.expect("read");
        assert!(none.is_empty());
        clean(&cgroups, "life");
    }

    #[tokio::test]
    async fn with_systemd_only_names_are_made() {
        let Ok(cgroups) = Cgroups::new("/", Driver::Systemd, None, &facts()) else {
            eprintln!("skipped: no cgroups are mounted here");
            return;
        };
        let pod = Arc::new(pod("containers: [{name: a}]"));
        let parent = cgroups.ensure(&pod).await.expect("named");
        assert_eq!(
            parent,
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu_1.slice"
        );
        assert!(
            cgroups
                .hierarchy
                .folders(&parent)
                .iter()
                .all(|folder| !folder.exists())
        );
    }
}
