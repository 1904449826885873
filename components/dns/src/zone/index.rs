//! The index, and how it follows the cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use k8s_openapi::api::core::v1::Service as ServiceObject;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::RwLock;

use super::labels::key;
use super::members::Members;
use super::objects::{Kind, Service, Slice};
use super::reverse::{Rank, Reverse};
use crate::limits::DOMAIN_MAX;
use crate::wire::{Name, Record};

/// The service under whose address this server is reached, and whose address is the name server's.
const OWN_SERVICE: &str = "kube-system/kube-dns";

/// Everything that is known of the cluster's names. A change costs what the changed service is large; a question
/// costs what its answer is large.
pub struct Index {
    pub(super) zone: Name,
    pub(super) ttl: u32,
    pub(super) state: RwLock<State>,
    names: Names,
    serial: AtomicU32,
    complete: AtomicBool,
}

/// Names that are the same for ever.
#[derive(Debug)]
struct Names {
    /// `svc` and the zone.
    services: Name,
    /// The name server.
    server: Name,
    mailbox: Name,
}

#[derive(Debug, Default)]
pub(super) struct State {
    namespaces: HashSet<String>,
    services: HashMap<String, Known>,
    reverse: Reverse,
}

/// What is known of one service; slices may come before it and stay after it.
#[derive(Debug, Default)]
struct Known {
    service: Option<Service>,
    name: Name,
    slices: BTreeMap<String, Slice>,
    members: Members,
}

/// A service as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) service: &'a Service,
    pub(super) name: &'a Name,
    pub(super) members: &'a Members,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}

/// `domain` is none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of a domain")]
pub struct NotADomain(String);

impl Index {
    /// `domain` is the cluster's, as `cluster.local`; `serial` that of its zone, which grows with each change; `ttl`
    /// in seconds.
    ///
    /// # Errors
    /// When `domain` is no name, or one too long for services below it.
    pub fn new(domain: &str, serial: u32, ttl: u32) -> Result<Self, NotADomain> {
        let bad = || NotADomain(domain.to_owned());
        let zone = Name::from_text(domain).ok_or_else(bad)?.to_lowercase();
        if zone.is_root() || zone.as_bytes().len() > DOMAIN_MAX {
            return Err(bad());
        }
        let under = |name: &Name, label: &str| name.below(label).ok_or_else(bad);
        Ok(Self {
            names: Names {
                services: under(&zone, "svc")?,
                server: under(&under(&zone, "dns")?, "ns")?,
                mailbox: under(&zone, "hostmaster")?,
            },
            zone,
            ttl,
            state: RwLock::default(),
            serial: AtomicU32::new(serial),
            complete: AtomicBool::new(false),
        })
    }

    /// From now on what is not known does not exist.
    pub fn completed(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// See [`Index::completed`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// How many services are known.
    #[must_use]
    pub fn services(&self) -> usize {
        let state = self.state.read();
        let known = state.services.values();
        known.filter(|known| known.service.is_some()).count()
    }

    /// A namespace is there, or is not any more.
    pub fn namespace(&self, name: &str, exists: bool) {
        let mut state = self.state.write();
        let changed = match exists {
            true => state.namespaces.insert(name.to_owned()),
            false => state.namespaces.remove(name),
        };
        if changed {
            self.changed();
        }
    }

    /// A service is there, was changed, or (`exists` is false) is not there any more.
    pub fn service(&self, object: &ServiceObject, exists: bool) {
        let meta = &object.metadata;
        let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else {
            return;
        };
        let service = exists.then(|| Service::of(object));
        self.change(namespace, name, |known| known.service = service);
    }

    /// A slice of endpoints is there, was changed, or is not there any more. One that has come to belong to another
    /// service must be told away with its old state first.
    pub fn slice(&self, object: &EndpointSlice, exists: bool) {
        let (Some(slice_name), Some((service, slice))) = (&object.metadata.name, Slice::of(object))
        else {
            return;
        };
        let Some((namespace, name)) = service.split_once('/') else {
            return;
        };
        self.change(namespace, name, |known| {
            match exists {
                true => known.slices.insert(slice_name.clone(), slice),
                false => known.slices.remove(slice_name),
            };
        });
    }

    fn change(&self, namespace: &str, name: &str, change: impl FnOnce(&mut Known)) {
        let Some(key) = key(namespace.as_bytes(), name.as_bytes()) else {
            return;
        };
        let in_namespace = self.names.services.below(namespace);
        let Some(full) = in_namespace.and_then(|parent| parent.below(name)) else {
            return;
        };
        let mut state = self.state.write();
        let State {
            services, reverse, ..
        } = &mut *state;
        let known = services.entry(key.clone()).or_default();
        known.name = full;
        change(known);
        reverse.forget(&key);
        if known.service.is_none() && known.slices.is_empty() {
            services.remove(&key);
        } else {
            known.build(&key, reverse);
        }
        self.changed();
    }

    fn changed(&self) {
        self.serial.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn soa(&self) -> Record {
        let serial = self.serial.load(Ordering::Relaxed);
        let (server, mailbox) = (&self.names.server, &self.names.mailbox);
        Record::soa(&self.zone, server, mailbox, serial, self.ttl)
    }

    /// The name server's name.
    pub(super) fn server(&self) -> &Name {
        &self.names.server
    }
}

impl State {
    pub(super) fn has_namespace(&self, label: &str) -> bool {
        self.namespaces.contains(label)
    }

    pub(super) fn service(&self, key: &str) -> Option<View<'_>> {
        let known = self.services.get(key)?;
        Some(View {
            service: known.service.as_ref()?,
            name: &known.name,
            members: &known.members,
        })
    }

    /// Addresses under which this server is reached.
    pub(super) fn own_addresses(&self) -> &[IpAddr] {
        match self.service(OWN_SERVICE).map(|view| &view.service.kind) {
            Some(Kind::Cluster(addresses)) => addresses,
            _ => &[],
        }
    }

    pub(super) fn names_of(&self, address: IpAddr, room: usize) -> Vec<Name> {
        self.reverse.names(address, room)
    }
}

impl Known {
    /// Makes what follows from service and slices.
    fn build(&mut self, key: &str, reverse: &mut Reverse) {
        let Some(service) = &self.service else {
            self.members = Members::default();
            return;
        };
        let slices = self.slices.values();
        self.members = Members::of(slices, service.publishes_all, &self.name);
        let headless = match &service.kind {
            Kind::Cluster(addresses) => {
                for address in addresses {
                    reverse.add(key, *address, Rank::Service, self.name.clone());
                }
                false
            }
            Kind::Headless => true,
            Kind::External(_) => return,
        };
        for member in &self.members.all {
            let rank = match member.named {
                true => Rank::Named,
                false if headless => Rank::Unnamed,
                // It is reached by the service's address.
                false => continue,
            };
            for address in &member.addresses {
                reverse.add(key, *address, rank, member.target.clone());
            }
        }
    }
}
