//! What the runtime was seen to run for a pod.

use std::collections::BTreeMap;

use crate::labels::{
    CONTAINER_HASH, DELETION_GRACE, MESSAGE_PATH, MESSAGE_POLICY, POD_GRACE, PRE_STOP,
    RESTART_COUNT,
};

/// How a container was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Created,
    Running,
    Exited,
    Unknown,
}

/// A sandbox. Times are in nanoseconds since 1970, as the runtime gives them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenSandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    pub created_at: i64,
    /// The first one is the pod's main address. None for a pod in the host's network.
    pub ips: Vec<String>,
    /// Whether it lives in the host's network.
    pub host_network: bool,
    /// What it is called on disk for `kubectl logs`, and which handler runs it.
    pub runtime_handler: String,
}

/// A container. Times are in nanoseconds since 1970; 0 for "not yet".
#[derive(Clone, Debug, PartialEq)]
pub struct SeenContainer {
    pub id: String,
    pub name: String,
    pub state: State,
    pub created_at: i64,
    pub started_at: i64,
    pub finished_at: i64,
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    /// The image's name as the pod asked for it,
    pub image: String,
    /// what of it runs, as a repository and digest where known,
    pub image_ref: String,
    /// and the runtime's own id of it.
    pub image_id: String,
    pub log_path: String,
    pub annotations: BTreeMap<String, String>,
    /// What its user was resolved to: user, group, further groups.
    pub user: Option<(i64, i64, Vec<i64>)>,
    /// This kubelet has ended it, as a probe had failed or its spec had changed: it has not succeeded, whatever it said
    /// at its end.
    pub condemned: bool,
}

impl Default for SeenContainer {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            state: State::Unknown,
            created_at: 0,
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            reason: String::new(),
            message: String::new(),
            image: String::new(),
            image_ref: String::new(),
            image_id: String::new(),
            log_path: String::new(),
            annotations: BTreeMap::new(),
            user: None,
            condemned: false,
        }
    }
}

impl SeenContainer {
    /// Restarts before this one.
    pub fn restarts(&self) -> u32 {
        self.number(RESTART_COUNT).unwrap_or(0)
    }

    /// Of the spec it was made from.
    pub fn hash(&self) -> Option<&str> {
        self.annotations.get(CONTAINER_HASH).map(String::as_str)
    }

    /// Seconds it has to end, by what it was created with.
    pub fn grace(&self) -> Option<i64> {
        self.number(DELETION_GRACE)
            .or_else(|| self.number(POD_GRACE))
    }

    /// What is to be done before it is stopped, as JSON.
    pub fn pre_stop(&self) -> Option<&str> {
        self.annotations.get(PRE_STOP).map(String::as_str)
    }

    /// Where in the container its last words are.
    pub fn message_path(&self) -> Option<&str> {
        self.annotations.get(MESSAGE_PATH).map(String::as_str)
    }

    /// Whether its log serves where it left no last words.
    pub fn message_from_log(&self) -> bool {
        self.annotations
            .get(MESSAGE_POLICY)
            .is_some_and(|policy| policy == "FallbackToLogsOnError")
    }

    pub fn failed(&self) -> bool {
        self.state == State::Exited && self.exit_code != 0
    }

    pub fn succeeded(&self) -> bool {
        self.state == State::Exited && self.exit_code == 0 && !self.condemned
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.annotations.get(key).and_then(|text| text.parse().ok())
    }
}

/// A pod by what of it is there; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub uid: String,
    pub name: String,
    pub namespace: String,
    pub sandboxes: Vec<SeenSandbox>,
    pub containers: Vec<SeenContainer>,
}

impl Observed {
    /// The newest container of a name.
    pub fn latest(&self, name: &str) -> Option<&SeenContainer> {
        self.containers
            .iter()
            .find(|container| container.name == name)
    }

    /// All of a name, newest first.
    pub fn of_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SeenContainer> + 'a {
        self.containers
            .iter()
            .filter(move |container| container.name == name)
    }

    /// Brings what was seen into order.
    pub fn sort(&mut self) {
        self.sandboxes
            .sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at)));
        self.containers.sort_by_key(|container| {
            std::cmp::Reverse((container.created_at, container.restarts()))
        });
    }

    /// Those that may have a process.
    pub fn living(&self) -> impl Iterator<Item = &SeenContainer> {
        self.containers
            .iter()
            .filter(|container| matches!(container.state, State::Running | State::Unknown))
    }

    pub fn is_running(&self, id: &str) -> bool {
        let mut containers = self.containers.iter();
        containers.any(|one| one.id == id && one.state == State::Running)
    }

    /// Whether nothing of it runs any more.
    pub fn is_down(&self) -> bool {
        self.living().next().is_none() && self.sandboxes.iter().all(|sandbox| !sandbox.ready)
    }

    /// Addresses of its newest sandbox, if that is up.
    pub fn ips(&self) -> &[String] {
        match self.sandboxes.first() {
            Some(sandbox) if sandbox.ready => &sandbox.ips,
            _ => &[],
        }
    }
}
