//! All pods of this node.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::Key;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::life::{Life, Wish};
use crate::context::Context;

/// Starts a task for each pod, and tells it what is wanted. Cheap to clone.
#[derive(Clone)]
pub struct Pods {
    context: Arc<Context>,
    inner: Arc<Mutex<Inner>>,
    /// Told when a task has ended.
    ended: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    tasks: JoinSet<String>,
    /// By uid.
    lives: HashMap<String, Handle>,
    /// Pods that have to wait for another one of the same name to end: a static pod whose file was changed.
    waiting: HashMap<Key, Arc<Pod>>,
}

struct Handle {
    key: Option<Key>,
    wishes: watch::Sender<Wish>,
    wake: Arc<Notify>,
}

impl fmt::Debug for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pods")
            .field("lives", &self.inner.lock().lives.len())
            .finish_non_exhaustive()
    }
}

impl Pods {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            inner: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// A pod shall be, as it is given.
    pub fn set(&self, pod: Arc<Pod>) {
        let mut inner = self.inner.lock();
        self.put(&mut inner, pod);
    }

    fn put(&self, inner: &mut Inner, pod: Arc<Pod>) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let key = Key::of(pod.as_ref());
        if let Some(handle) = inner.lives.get(&uid) {
            handle.wishes.send_replace(Wish::Be(pod));
            return;
        }
        let mut lives = inner.lives.values();
        if lives.any(|handle| handle.key.as_ref() == Some(&key)) {
            inner.waiting.insert(key, pod);
            return;
        }
        self.begin(inner, uid, Some(key), Wish::Be(pod));
    }

    /// A pod is no longer wanted, by whoever had asked for it.
    pub fn remove(&self, uid: &str) {
        let mut inner = self.inner.lock();
        inner
            .waiting
            .retain(|_, pod| pod.metadata.uid.as_deref() != Some(uid));
        if let Some(handle) = inner.lives.get(uid) {
            handle.wishes.send_replace(Wish::Gone);
        }
    }

    /// Pods that run and that nobody asked for end. Only once it is known who asks for what.
    pub fn remove_orphans(&self, present: &BTreeSet<String>) {
        let mut inner = self.inner.lock();
        for uid in present {
            if !inner.lives.contains_key(uid) {
                tracing::info!(uid, "nobody wants this pod any more: it is removed");
                self.begin(&mut inner, uid.clone(), None, Wish::Gone);
            }
        }
    }

    /// Something has changed in the runtime.
    pub fn wake(&self, uids: &BTreeSet<String>) {
        let inner = self.inner.lock();
        for handle in uids.iter().filter_map(|uid| inner.lives.get(uid)) {
            handle.wake.notify_one();
        }
    }

    /// Uids of those with a task.
    pub fn uids(&self) -> BTreeSet<String> {
        self.inner.lock().lives.keys().cloned().collect()
    }

    /// The pod of a name that shall be.
    pub fn named(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let inner = self.inner.lock();
        let is = |key: &Key| &*key.namespace == namespace && &*key.name == name;
        let mut lives = inner.lives.values();
        let handle = lives.find(|handle| handle.key.as_ref().is_some_and(is))?;
        match &*handle.wishes.borrow() {
            Wish::Be(pod) => Some(Arc::clone(pod)),
            Wish::Gone => None,
        }
    }

    /// Those that shall be.
    pub fn living(&self) -> Vec<Arc<Pod>> {
        let inner = self.inner.lock();
        let wishes = inner
            .lives
            .values()
            .map(|handle| handle.wishes.borrow().clone());
        wishes
            .filter_map(|wish| match wish {
                Wish::Be(pod) => Some(pod),
                Wish::Gone => None,
            })
            .collect()
    }

    fn begin(&self, inner: &mut Inner, uid: String, key: Option<Key>, wish: Wish) {
        let (wishes, receiver) = watch::channel(wish);
        let wake = Arc::new(Notify::new());
        let life = Life::new(
            Arc::clone(&self.context),
            uid.clone(),
            receiver,
            Arc::clone(&wake),
        );
        let ended = uid.clone();
        inner.tasks.spawn(async move {
            life.run().await;
            ended
        });
        inner.lives.insert(uid, Handle { key, wishes, wake });
        self.ended.notify_one();
    }

    /// Notes which tasks have ended, until it is dropped.
    ///
    /// # Panics
    /// If a task has: whatever led to it would happen to the pod again, so it must be seen.
    pub async fn run(&self) {
        loop {
            let ended = std::future::poll_fn(|cx| self.inner.lock().tasks.poll_join_next(cx));
            tokio::select! {
                ended = ended => match ended {
                    Some(Ok(uid)) => self.over(&uid),
                    Some(Err(error)) if error.is_panic() => {
                        std::panic::resume_unwind(error.into_panic())
                    }
                    Some(Err(_)) => {}
                    None => self.ended.notified().await,
                },
                () = self.ended.notified() => {}
            }
        }
    }

    fn over(&self, uid: &str) {
        let mut inner = self.inner.lock();
        let Some(handle) = inner.lives.remove(uid) else {
            return;
        };
        if let Some(next) = handle.key.and_then(|key| inner.waiting.remove(&key)) {
            self.put(&mut inner, next);
        }
    }
}
