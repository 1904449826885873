//! All services and endpoints, and which of them changed since the rules were last written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use mainstay_client::Key;

use super::endpoint::{Slice, merge};
use super::node::Node;
use super::plan::Plan;
use super::service::Service;

/// What is known. Every change returns whether rules may have to change for it.
#[derive(Debug, Default)]
pub struct State {
    node_name: String,
    node: Option<Node>,
    services: HashMap<Key, Service>,
    /// Of each service, by their names.
    slices: HashMap<Key, BTreeMap<String, Slice>>,
    /// The service of each slice.
    owners: HashMap<Key, Key>,
    changed: BTreeSet<Key>,
    triggers: Vec<Timestamp>,
}

/// What changed, to be programmed at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is to be programmed for a service; nothing for one that is gone.
    pub services: Vec<(Key, Vec<Plan>)>,
    /// When those changes of pods and services happened that are in it.
    pub triggers: Vec<Timestamp>,
}

/// Times that are kept between two writes of rules; more say nothing new.
const TRIGGERS_MAX: usize = 10_000;

impl State {
    /// `node_name` is what endpoints call this node.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// A change of zone changes all services that prefer endpoints near by.
    pub fn set_node(&mut self, node: Option<Node>) -> bool {
        let zone = |node: &Option<Node>| node.as_ref().map(|node| node.zone.clone());
        let has_moved = zone(&self.node).unwrap_or_default() != zone(&node).unwrap_or_default();
        self.node = node;
        if has_moved {
            self.changed.extend(self.services.keys().cloned());
        }
        has_moved && !self.changed.is_empty()
    }

    pub fn put_service(&mut self, object: &core::Service) -> bool {
        let key = Key::of(object);
        let Some(service) = Service::read(object) else {
            return self.remove_service(&key);
        };
        if self.services.get(&key) == Some(&service) {
            return false;
        }
        self.services.insert(key.clone(), service);
        self.mark(key)
    }

    pub fn remove_service(&mut self, key: &Key) -> bool {
        self.services.remove(key).is_some() && self.mark(key.clone())
    }

    /// After a list: services that it did not have are gone.
    pub fn keep_services(&mut self, listed: &HashSet<Key>) -> bool {
        let gone = self.services.keys().filter(|key| !listed.contains(key));
        let gone: Vec<Key> = gone.cloned().collect();
        gone.iter()
            .fold(false, |any, key| self.remove_service(key) | any)
    }

    pub fn put_slice(&mut self, object: &discovery::EndpointSlice) -> bool {
        let name = Key::of(object);
        let Some((service, slice)) = Slice::read(object, &self.node_name) else {
            return self.remove_slice(&name);
        };
        let mut any = false;
        if self
            .owners
            .get(&name)
            .is_some_and(|owner| *owner != service)
        {
            any = self.remove_slice(&name);
        }
        self.owners.insert(name.clone(), service.clone());
        let all = self.slices.entry(service.clone()).or_default();
        if all.get(&name.name).map(|known| &known.endpoints) == Some(&slice.endpoints) {
            return any;
        }
        let trigger = slice.trigger;
        all.insert(name.name, slice);
        if !self.services.contains_key(&service) {
            return any;
        }
        self.triggers
            .extend(trigger.filter(|_| self.triggers.len() < TRIGGERS_MAX));
        self.changed.insert(service);
        true
    }

    pub fn remove_slice(&mut self, name: &Key) -> bool {
        let Some(service) = self.owners.remove(name) else {
            return false;
        };
        if let Some(all) = self.slices.get_mut(&service) {
            all.remove(&name.name);
            if all.is_empty() {
                self.slices.remove(&service);
            }
        }
        self.services.contains_key(&service) && self.mark(service)
    }

    /// After a list: slices that it did not have are gone.
    pub fn keep_slices(&mut self, listed: &HashSet<Key>) -> bool {
        let gone = self.owners.keys().filter(|key| !listed.contains(key));
        let gone: Vec<Key> = gone.cloned().collect();
        gone.iter()
            .fold(false, |any, key| self.remove_slice(key) | any)
    }

    fn mark(&mut self, service: Key) -> bool {
        self.changed.insert(service);
        true
    }

    /// Whether rules are to be written.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What changed since it was last asked.
    pub fn take(&mut self) -> Batch {
        let changed = std::mem::take(&mut self.changed);
        let plans = |key: Key| (key.clone(), self.plans(&key));
        Batch {
            services: changed.into_iter().map(plans).collect(),
            triggers: std::mem::take(&mut self.triggers),
        }
    }

    /// Everything there is, as if it had just changed.
    pub fn take_all(&mut self) -> Batch {
        self.changed.extend(self.services.keys().cloned());
        self.take()
    }

    fn plans(&self, key: &Key) -> Vec<Plan> {
        let zone = self.node.as_ref().map_or("", |node| &node.zone);
        let service = self.services.get(key);
        let ports = service.into_iter().flat_map(|service| &service.ports);
        let plan = |port: &super::ServicePort| {
            let slices = self.slices.get(key).into_iter().flat_map(BTreeMap::values);
            let wanted = (port.name.port.clone(), port.name.protocol);
            Plan::new(port.clone(), merge(slices, &wanted), zone)
        };
        ports.map(plan).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, port: u16) -> core::Service {
        let object = json!({
            "metadata": {"namespace": "a", "name": name},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": port}]},
        });
        serde_json::from_value(object).expect("a service")
    }

    fn slice(name: &str, service: &str, ip: &str) -> discovery::EndpointSlice {
        let object = json!({
            "metadata": {"namespace": "a", "name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": [ip]}],
        });
        serde_json::from_value(object).expect("a slice")
    }

    fn taken(state: &mut State) -> Vec<(String, usize)> {
        let told = |(key, plans): (Key, Vec<Plan>)| {
            let ends = plans.iter().map(|plan| plan.cluster.len()).sum();
            (key.name, ends)
        };
        state.take().services.into_iter().map(told).collect()
    }

    #[test]
    fn only_what_changes_rules_is_programmed() {
        let mut state = State::new("n1");
        assert!(
            !state.put_slice(&slice("s1", "b", "10.1.0.1")),
            "no service"
        );
        assert!(state.put_service(&service("b", 80)));
        assert_eq!(taken(&mut state), [("b".to_owned(), 1)]);
        assert!(!state.put_service(&service("b", 80)), "the same again");
        assert!(!state.put_slice(&slice("s1", "b", "10.1.0.1")));
        assert!(state.put_slice(&slice("s2", "b", "10.1.0.2")));
        assert_eq!(taken(&mut state), [("b".to_owned(), 2)]);
        assert!(state.remove_slice(&Key::new("a", "s1")));
        assert!(state.remove_service(&Key::new("a", "b")));
        assert_eq!(taken(&mut state), [("b".to_owned(), 0)]);
        assert!(!state.has_changed());
    }

    #[test]
    fn what_a_list_does_not_have_is_gone() {
        let mut state = State::new("n1");
        for name in ["b", "c"] {
            state.put_service(&service(name, 80));
            state.put_slice(&slice(name, name, "10.1.0.1"));
        }
        taken(&mut state);
        let b = HashSet::from([Key::new("a", "b")]);
        assert!(state.keep_slices(&b));
        assert_eq!(taken(&mut state), [("c".to_owned(), 0)]);
        assert!(state.keep_services(&b));
        assert!(!state.keep_services(&b));
        assert_eq!(taken(&mut state), [("c".to_owned(), 0)]);
        let all = state.take_all().services;
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn a_slice_that_moves_to_another_service_leaves_the_first() {
        let mut state = State::new("n1");
        state.put_service(&service("b", 80));
        state.put_service(&service("c", 80));
        state.put_slice(&slice("s", "b", "10.1.0.1"));
        taken(&mut state);
        assert!(state.put_slice(&slice("s", "c", "10.1.0.1")));
        let all = [("b".to_owned(), 0), ("c".to_owned(), 1)];
        assert_eq!(taken(&mut state), all);
    }
}
