//! A cluster of hosts on this machine, from `mainstay up` to `mainstay down --delete`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use mainstay_tests::apiserver::Said;
use mainstay_tests::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::launcher::{self, Launcher, said};
use super::limits::{COMMAND, DONE};
use crate::world::Scene;

/// Environment variable that, when set, keeps the folder of a cluster: logs, disks and data.
const KEEP: &str = "MAINSTAY_TEST_KEEP";
/// Is told on its stdin that all is down, or else takes the cluster down when that ends, whatever it ended by. What
/// kubectl has left goes in any case.
const KEEPER: &str = r#"read -r word; test "$word" = done || "$1" --dir "$2" down --delete
rm -rf "$2/kubectl-cache"; rmdir "$2" 2>/dev/null"#;

/// A running cluster. Down and deleted when this is dropped, and also when this process is killed.
pub struct Stack {
    launcher: Launcher,
    client: Client,
    keeper: Option<(Child, ChildStdin)>,
    /// Holds the folder, if it is temporary.
    folder: Option<TempDir>,
    masters: usize,
    workers: usize,
    /// What `up` took.
    pub up_took: Duration,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({})", self.launcher.root.display())
    }
}

impl Stack {
    /// What this machine lacks for one.
    #[must_use]
    pub fn obstacle() -> Option<String> {
        launcher::obstacle()
    }

    /// Brings one up in `root`, or in a temporary folder. Panics with what `up` said if it does not come.
    pub async fn up(root: Option<&Path>, masters: usize, workers: usize) -> Self {
        let folder = root.is_none().then(|| tempfile::tempdir().unwrap());
        let root = match (root, &folder) {
            (Some(root), _) => root.to_owned(),
            (None, Some(folder)) => folder.path().join("cluster"),
            (None, None) => unreachable!("one of them is there"),
        };
        let launcher = Launcher::new(&root);
        let mut falling = Falling {
            launcher: launcher.clone(),
            keeper: Some(keep(&launcher)),
        };
        let up_took = bring(&launcher, masters, workers).await;
        let client = client(&launcher).await;
        Self {
            client,
            keeper: falling.keeper.take(),
            launcher,
            folder,
            masters,
            workers,
            up_took,
        }
    }

    /// `mainstay up` once more, which starts what does not run. Returns what it took.
    pub async fn up_again(&self) -> Duration {
        bring(&self.launcher, self.masters, self.workers).await
    }

    /// The administrator's.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// One with connections of its own.
    pub async fn other_client(&self) -> Client {
        client(&self.launcher).await
    }

    /// What a command of the launcher said; it must succeed.
    pub async fn mainstay(&self, words: &[&str]) -> String {
        let said = self.launcher.run(words).await;
        assert!(said.ok, "mainstay {words:?}: {}", said.text);
        said.text
    }

    /// The same, whatever becomes of it.
    pub async fn tries(&self, words: &[&str]) -> Said {
        self.launcher.run(words).await
    }

    /// What kubectl said; it must succeed.
    pub async fn kubectl(&self, words: &[&str]) -> String {
        let said = self.kubectl_tries(words).await;
        assert!(said.ok, "kubectl {words:?}: {}", said.text);
        said.text
    }

    /// The same, whatever becomes of it.
    pub async fn kubectl_tries(&self, words: &[&str]) -> Said {
        let mut command = self.launcher.kubectl();
        command.args(words);
        said(command, COMMAND, words).await
    }

    /// kubectl with these arguments, to be run by the caller.
    #[must_use]
    pub fn kubectl_command(&self, words: &[&str]) -> tokio::process::Command {
        let mut command = self.launcher.kubectl();
        command.args(words).kill_on_drop(true);
        command
    }

    /// What a command within a host said, whatever becomes of it.
    pub async fn on_host(&self, host: &str, words: &[&str]) -> Said {
        let mut all = vec!["exec", host];
        all.extend_from_slice(words);
        self.tries(&all).await
    }

    /// `kill -9` of the first processes of hosts, one right after the other, and with them of all that runs there.
    pub fn cut_power(&self, hosts: &[String]) {
        let processes: Vec<Pid> = hosts.iter().map(|host| self.first_process(host)).collect();
        for process in processes {
            kill_process(process, Signal::KILL).unwrap();
        }
    }

    fn first_process(&self, host: &str) -> Pid {
        let file = self.launcher.root.join("hosts").join(host);
        let text = std::fs::read(file.join("first-process.json")).unwrap();
        let process: Value = serde_json::from_slice(&text).unwrap();
        let id = i32::try_from(process["pid"].as_i64().unwrap()).unwrap();
        Pid::from_raw(id).unwrap()
    }

    /// Where the disk of a host lies, on this machine.
    #[must_use]
    pub fn disk(&self, host: &str) -> PathBuf {
        self.launcher.root.join("hosts").join(host).join("disk")
    }

    /// Addresses of hosts by their names, of masters or of workers.
    fn hosts(&self, role: &str) -> BTreeMap<String, String> {
        let text = std::fs::read(self.launcher.root.join("state.json")).unwrap();
        let state: Value = serde_json::from_slice(&text).unwrap();
        let hosts = state["hosts"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        hosts
            .filter(|host| host["role"] == role)
            .map(|host| (text(&host["name"]), text(&host["address"])))
            .collect()
    }

    #[must_use]
    pub fn masters(&self) -> BTreeMap<String, String> {
        self.hosts("master")
    }

    #[must_use]
    pub fn workers(&self) -> BTreeMap<String, String> {
        self.hosts("worker")
    }

    /// A namespace in which pods can be made. Asks as long as the API does not answer.
    pub async fn scene(&self, name: &str) -> Scene {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let made = async || match namespaces.create(&PostParams::default(), &object).await {
            Ok(_) => Some(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Some(()),
            Err(_) => None,
        };
        wait_until("a namespace is made", DONE, made).await;
        let scene = Scene {
            client: self.client(),
            namespace: Arc::from(name),
        };
        let accounts = scene.api::<ServiceAccount>();
        wait_until("a namespace has its account", DONE, async || {
            accounts.get_opt("default").await.ok()?
        })
        .await;
        scene
    }

    /// Whether a node's kubelet is heard of, by name.
    pub async fn nodes(&self) -> kube::Result<BTreeMap<String, bool>> {
        let nodes: Api<Node> = Api::all(self.client());
        let list = nodes.list(&ListParams::default()).await?;
        let each = list.items.into_iter().map(|node| {
            let name = node.metadata.name.clone().unwrap_or_default();
            let conditions = node.status.and_then(|status| status.conditions);
            let mut conditions = conditions.into_iter().flatten();
            let ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
            (name, ready)
        });
        Ok(each.collect())
    }

    /// Waits until all workers are ready.
    pub async fn nodes_ready(&self) {
        let all = self.workers().len();
        wait_until("all nodes are ready", DONE, async || {
            let nodes = self.nodes().await.ok()?;
            let ready = nodes.values().filter(|ready| **ready).count();
            (ready == all).then_some(())
        })
        .await;
    }

    /// Waits until the apiserver of every master says that it is ready, asked at its own address.
    pub async fn masters_ready(&self) {
        for (name, address) in self.masters() {
            let server = format!("--server=https://{address}:6443");
            let what = format!("the apiserver of {name} is ready");
            wait_until(&what, DONE, async || {
                let words = [
                    server.as_str(),
                    "get",
                    "--raw=/readyz",
                    "--request-timeout=5s",
                ];
                self.kubectl_tries(&words).await.ok.then_some(())
            })
            .await;
        }
    }

    /// Id of a process within its host and how often it was started again, if it runs.
    pub async fn process(&self, host: &str, process: &str) -> Option<(u32, u64)> {
        // It ends with 1 where no apiserver answers, which is not asked here.
        let status = self.tries(&["status"]).await.text;
        status.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let own = words.next()? == host;
            // Hosts have their address behind them, the machine itself has none.
            let mut words = words.filter(|word| !word.starts_with('('));
            let own = own && words.next()? == process && words.next()? == "runs";
            let (pid, restarts) = (words.next()?, words.next()?);
            own.then_some((pid.parse().ok()?, restarts.parse().ok()?))
        })
    }

    /// `kill -9` of one process of a host; returns when its supervisor has started it again.
    pub async fn kill_process(&self, host: &str, process: &str) {
        let before = self.process(host, process).await;
        let before = before.unwrap_or_else(|| panic!("{host}/{process} does not run"));
        self.mainstay(&["kill", &format!("{host}/{process}")]).await;
        wait_until(&format!("{host}/{process} runs again"), DONE, async || {
            let now = self.process(host, process).await?;
            (now.0 != before.0).then_some(())
        })
        .await;
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(Falling {
            launcher: self.launcher.clone(),
            keeper: self.keeper.take(),
        });
        if std::env::var_os(KEEP).is_some()
            && let Some(folder) = self.folder.take()
        {
            let _ = folder.keep();
        }
    }
}

/// What must be taken down, as long as it has a keeper.
struct Falling {
    launcher: Launcher,
    keeper: Option<(Child, ChildStdin)>,
}

impl Drop for Falling {
    fn drop(&mut self) {
        let Some((mut keeper, mut stdin)) = self.keeper.take() else {
            return;
        };
        let mut down = Command::new(&self.launcher.program);
        down.arg("--dir").arg(&self.launcher.root).arg("down");
        if std::env::var_os(KEEP).is_none() {
            down.arg("--delete");
        }
        let down = down
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // What one command could not do the keeper tries once more.
        if down.status().is_ok_and(|status| status.success()) {
            let _ = stdin.write_all(b"done\n");
        }
        drop(stdin);
        let _ = keeper.wait();
    }
}

/// Starts the one who cleans up after a process that cannot do it any more. Its group is its own: what ends a test from
/// its terminal does not end it.
fn keep(launcher: &Launcher) -> (Child, ChildStdin) {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(&launcher.program)
        .arg(&launcher.root)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let stdin = keeper.stdin.take().unwrap();
    (keeper, stdin)
}

async fn bring(launcher: &Launcher, masters: usize, workers: usize) -> Duration {
    let begun = Instant::now();
    let (masters, workers) = (
        format!("--masters={masters}"),
        format!("--workers={workers}"),
    );
    let up = launcher.run(&["up", &masters, &workers]).await;
    assert!(up.ok, "mainstay up: {}", up.text);
    begun.elapsed()
}

async fn client(launcher: &Launcher) -> Client {
    let file = Kubeconfig::read_from(launcher.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    // Faults are to be seen, not waited for.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}
