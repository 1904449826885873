//! Between those who watch the apiserver and the thread that writes rules.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::{Node as NodeObject, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use mainstay_client::Key;
use parking_lot::{Condvar, Mutex};

use crate::health::Health;
use crate::metrics::Figures;
use crate::model::{Batch, Node, State};

/// What is known, and whether anything changed. As large as the cluster's services, whatever the pace.
#[derive(Debug)]
pub struct Board {
    inner: Mutex<Inner>,
    wake: Condvar,
    health: Arc<Health>,
    figures: Figures,
}

#[derive(Debug)]
struct Inner {
    state: State,
    services_listed: bool,
    slices_listed: bool,
    node_listed: bool,
    /// What is programmed for every service may have changed.
    node_changed: bool,
    stopped: bool,
}

/// Why the thread is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    Changed,
    /// Nothing changed until then.
    Time,
    Stop,
}

impl Board {
    #[must_use]
    pub fn new(node_name: &str, health: Arc<Health>, figures: Figures) -> Self {
        Self {
            inner: Mutex::new(Inner {
                state: State::new(node_name),
                services_listed: false,
                slices_listed: false,
                node_listed: false,
                node_changed: false,
                stopped: false,
            }),
            wake: Condvar::new(),
            health,
            figures,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Inner) -> bool) {
        let mut inner = self.inner.lock();
        if change(&mut inner) {
            self.health.queued(Instant::now());
            self.figures.queued();
            self.wake.notify_all();
        }
    }

    pub fn put_service(&self, object: &Service) {
        self.figures.service_changed();
        self.change(|inner| inner.state.put_service(object));
    }

    pub fn remove_service(&self, key: &Key) {
        self.figures.service_changed();
        self.change(|inner| inner.state.remove_service(key));
    }

    /// A list of services is complete.
    pub fn services_listed(&self, listed: &HashSet<Key>) {
        self.change(|inner| {
            let is_first = !std::mem::replace(&mut inner.services_listed, true);
            inner.state.keep_services(listed) | is_first
        });
    }

    pub fn put_slice(&self, object: &EndpointSlice) {
        self.figures.slice_changed();
        self.change(|inner| inner.state.put_slice(object));
    }

    pub fn remove_slice(&self, key: &Key) {
        self.figures.slice_changed();
        self.change(|inner| inner.state.remove_slice(key));
    }

    /// A list of endpoint slices is complete.
    pub fn slices_listed(&self, listed: &HashSet<Key>) {
        self.change(|inner| {
            let is_first = !std::mem::replace(&mut inner.slices_listed, true);
            inner.state.keep_slices(listed) | is_first
        });
    }

    /// None if it is not there, or not any more.
    pub fn set_node(&self, object: Option<&NodeObject>) {
        let node = object.map(Node::read);
        let is_eligible = node.as_ref().is_some_and(|node| node.eligible);
        self.health.set_eligible(is_eligible);
        self.change(|inner| {
            let is_first = !std::mem::replace(&mut inner.node_listed, true);
            // What was known of a node that is gone for now stays: its pods are still served.
            if node.is_none() || inner.state.node() == node.as_ref() {
                return is_first;
            }
            inner.node_changed = true;
            inner.state.set_node(node) | true
        });
    }

    /// The end.
    pub fn stop(&self) {
        self.inner.lock().stopped = true;
        self.wake.notify_all();
    }

    /// Waits until everything has been listed once and `is_enough` of the node; false at the end.
    pub fn wait_listed(&self, is_enough: impl Fn(Option<&Node>) -> bool) -> bool {
        let mut inner = self.inner.lock();
        loop {
            if inner.stopped {
                return false;
            }
            let is_listed = inner.services_listed && inner.slices_listed && inner.node_listed;
            if is_listed && is_enough(inner.state.node()) {
                return true;
            }
            self.wake.wait(&mut inner);
        }
    }

    /// Waits for a change, which counts from `ready` on, but not beyond `until`.
    pub fn wait(&self, ready: Instant, until: Instant) -> Wake {
        let mut inner = self.inner.lock();
        loop {
            let now = Instant::now();
            let has_changed = inner.state.has_changed() || inner.node_changed;
            if inner.stopped {
                return Wake::Stop;
            } else if has_changed && now >= ready {
                return Wake::Changed;
            } else if now >= until {
                return Wake::Time;
            }
            let next = if has_changed { ready.min(until) } else { until };
            self.wake.wait_until(&mut inner, next);
        }
    }

    #[must_use]
    pub fn node(&self) -> Option<Node> {
        self.inner.lock().state.node().cloned()
    }

    /// What changed, or everything. From here on it counts as being written.
    pub fn take(&self, all: bool) -> Batch {
        let mut inner = self.inner.lock();
        inner.node_changed = false;
        self.health.begun();
        match all {
            true => inner.state.take_all(),
            false => inner.state.take(),
        }
    }
}
