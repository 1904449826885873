//! Which pods have changed in the runtime since the last look.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_cri::{
    CriError, ListContainersRequest, ListPodSandboxRequest, PodSandbox, PodSandboxState, Runtime,
};

use crate::labels::{POD_NAME, POD_UID};

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relisted {
    /// Pods of which something appeared, went away or changed its state.
    pub changed: BTreeSet<String>,
    /// Pods of which there is anything.
    pub present: BTreeSet<String>,
    /// How many sandboxes are up,
    pub sandboxes_ready: usize,
    /// and how many containers there are, by their state.
    pub containers: BTreeMap<i32, usize>,
}

/// Of a pod: sandboxes and containers with their states.
type Parts = BTreeMap<String, i32>;

/// Looks at all pods again and again.
#[derive(Debug)]
pub struct Relister {
    runtime: Runtime,
    last: BTreeMap<String, Parts>,
}

impl Relister {
    pub fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            last: BTreeMap::new(),
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// If the runtime cannot say; the next look compares with the last one that worked.
    pub async fn look(&mut self) -> Result<Relisted, CriError> {
        let sandboxes = self.runtime.call(ListPodSandboxRequest::default()).await?;
        let containers = self.runtime.call(ListContainersRequest::default()).await?;
        let mut now: BTreeMap<String, Parts> = BTreeMap::new();
        let is_ready = |sandbox: &&PodSandbox| sandbox.state() == PodSandboxState::Ready;
        let sandboxes_ready = sandboxes.items.iter().filter(is_ready).count();
        let mut states = BTreeMap::new();
        for container in &containers.containers {
            *states.entry(container.state).or_default() += 1;
        }
        let sandboxes = sandboxes.items.into_iter();
        let sandboxes = sandboxes.map(|sandbox| (sandbox.labels, sandbox.id, sandbox.state));
        let containers = containers.containers.into_iter();
        let containers = containers.map(|one| (one.labels, one.id, one.state));
        for (labels, id, state) in sandboxes.chain(containers) {
            // What has no such labels was not made by a kubelet.
            if let (Some(uid), true) = (labels.get(POD_UID), labels.contains_key(POD_NAME)) {
                now.entry(uid.clone()).or_default().insert(id, state);
            }
        }
        Ok(Relisted {
            sandboxes_ready,
            containers: states,
            ..self.compare(now)
        })
    }

    fn compare(&mut self, now: BTreeMap<String, Parts>) -> Relisted {
        let uids: BTreeSet<&String> = self.last.keys().chain(now.keys()).collect();
        let changed = uids
            .into_iter()
            .filter(|uid| self.last.get(*uid) != now.get(*uid))
            .cloned()
            .collect();
        let present = now.keys().cloned().collect();
        self.last = now;
        Relisted {
            changed,
            present,
            ..Relisted::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_differs_has_changed() {
        let runtime = Runtime::new("/run/none.sock").expect("a path");
        let mut relister = Relister::new(runtime);
        let pods = |pods: &[(&str, i32)]| -> BTreeMap<String, Parts> {
            let part = |state| BTreeMap::from([("c".to_owned(), state)]);
            pods.iter()
                .map(|(uid, state)| ((*uid).to_owned(), part(*state)))
                .collect()
        };
        let mut look = |now| {
            relister
                .compare(now)
                .changed
                .into_iter()
                .collect::<String>()
        };
        assert_eq!(look(pods(&[("a", 1), ("b", 1)])), "ab");
        assert_eq!(look(pods(&[("a", 1), ("b", 1)])), "");
        assert_eq!(look(pods(&[("a", 2), ("b", 1)])), "a");
        assert_eq!(look(pods(&[("a", 2)])), "b");
    }
}
