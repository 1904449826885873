//! A node: a machine, its kubelet, and a cluster around it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Node as NodeObject, Pod};
use kube::Api;
use mainstay_component_tests::{Scene, World};
use mainstay_tests::process::Process;
use mainstay_tests::wait::wait_until;
use serde_json::{Value, json};

use crate::machine::{IMAGE, Machine};

pub(crate) const DONE: Duration = Duration::from_secs(60);

/// Dropped in this order: the kubelet first.
pub(crate) struct Node {
    kubelet: Option<Process>,
    /// Flags of the kubelet that are not the same for all.
    flags: Vec<String>,
    pub(crate) machine: Machine,
    pub(crate) world: World,
    pub(crate) scene: Scene,
}

impl Node {
    /// `None` where there can be none.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new()).await
    }

    /// As the administrator, with more flags.
    pub(crate) async fn start_with(flags: impl Fn(&World) -> Vec<String>) -> Option<Self> {
        let flags = |world: &World, _: &Path| {
            let mut all = flags(world);
            all.push(as_administrator(world));
            all
        };
        Self::start_in(World::start().await, flags).await
    }

    /// In a world, with flags that say who the kubelet is; they may name files in the machine's folder.
    pub(crate) async fn start_in(
        world: World,
        flags: impl FnOnce(&World, &Path) -> Vec<String>,
    ) -> Option<Self> {
        let machine = Machine::start(world.server.port()).await?;
        let mut flags = flags(&world, machine.dir.path());
        flags.push("--node-ip=10.88.0.1".to_owned());
        Some(Self::begin(world, machine, flags).await)
    }

    async fn begin(world: World, machine: Machine, flags: Vec<String>) -> Self {
        let scene = world.scene().await;
        fs::create_dir(machine.dir.path().join("manifests")).unwrap();
        let mut node = Self {
            kubelet: None,
            flags,
            machine,
            world,
            scene,
        };
        node.start_kubelet();
        let nodes: Api<NodeObject> = Api::all(node.world.client.clone());
        let ready = async || {
            let object = nodes.get_opt("n1").await.ok()??;
            let conditions = object.status?.conditions?;
            let mut ready = conditions.iter().filter(|one| one.type_ == "Ready");
            (ready.next()?.status == "True").then_some(())
        };
        wait_until("the node is ready", DONE, ready).await;
        node
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.machine.dir.path().join("manifests")
    }

    pub(crate) fn start_kubelet(&mut self) {
        let dir = self.machine.dir.path().display().to_string();
        let program = built();
        let flags = [
            format!(
                "--container-runtime-endpoint=unix://{}",
                self.machine.socket().display()
            ),
            format!("--root-dir={dir}/kubelet"),
            format!("--pod-logs-dir={dir}/logs"),
            format!("--pod-manifest-path={dir}/manifests"),
            format!("--cgroup-root={}", self.machine.cgroup()),
            "--hostname-override=n1".to_owned(),
            "--node-labels=disk=fast".to_owned(),
        ];
        let words: Vec<&str> = [program.to_str().unwrap()]
            .into_iter()
            .chain(flags.iter().chain(&self.flags).map(String::as_str))
            .collect();
        let mut command = self.machine.in_place(&words);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.kubelet = Some(Process::spawn(command).unwrap());
    }

    /// SIGKILL.
    pub(crate) fn kill_kubelet(&mut self) {
        self.kubelet = None;
    }

    /// What it said, over all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.machine.dir.path().join("kubelet.log")
    }

    /// A pod on this node; its spec with what every pod here has.
    pub(crate) async fn pod(&self, name: &str, spec: Value) -> Pod {
        let mut spec = spec;
        spec["nodeName"] = json!("n1");
        spec["automountServiceAccountToken"] = json!(false);
        if spec.get("terminationGracePeriodSeconds").is_none() {
            spec["terminationGracePeriodSeconds"] = json!(2);
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                if container.get("image").is_none() {
                    container["image"] = json!(IMAGE);
                }
                if container.get("imagePullPolicy").is_none() {
                    container["imagePullPolicy"] = json!("IfNotPresent");
                }
            }
        }
        let manifest = json!({"metadata": {"name": name}, "spec": spec});
        self.scene.create::<Pod>(manifest).await
    }

    /// Waits for something about a pod.
    pub(crate) async fn until<T>(
        &self,
        name: &str,
        what: &str,
        mut probe: impl FnMut(&Pod) -> Option<T>,
    ) -> T {
        let api = self.scene.api::<Pod>();
        let look = async || probe(&api.get_opt(name).await.ok()??);
        wait_until(&format!("{name}: {what}"), DONE, look).await
    }

    pub(crate) async fn until_phase(&self, name: &str, phase: &str) -> Pod {
        self.until(name, phase, |pod| {
            let now = pod.status.as_ref()?.phase.as_deref();
            (now == Some(phase)).then(|| pod.clone())
        })
        .await
    }

    pub(crate) async fn until_ready(&self, name: &str) -> Pod {
        self.until(name, "ready", |pod| {
            condition(pod, "Ready").then(|| pod.clone())
        })
        .await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let api = self.scene.api::<Pod>();
        let gone = async || api.get_opt(name).await.ok()?.is_none().then_some(());
        wait_until(&format!("{name} is gone"), DONE, gone).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log_path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(60);
            eprintln!("kubelet:\n{}", lines[last..].join("\n"));
        }
    }
}

fn as_administrator(world: &World) -> String {
    format!("--kubeconfig={}", world.server.kubeconfig().display())
}

/// The kubelet of this build.
fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let mut dir = own.parent().unwrap();
    if dir.ends_with("deps") {
        dir = dir.parent().unwrap();
    }
    let path = dir.join("kubelet");
    assert!(
        path.is_file(),
        "no kubelet at {}: build it first",
        path.display()
    );
    path
}

pub(crate) fn condition(pod: &Pod, name: &str) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == name && one.status == "True")
}

pub(crate) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten();
    let init = status.init_container_statuses.iter().flatten();
    all.chain(init).find(|status| status.name == name)
}

/// Why a container waits.
pub(crate) fn waits<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let state = container(pod, name)?.state.as_ref()?;
    state.waiting.as_ref()?.reason.as_deref()
}
