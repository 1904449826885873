//! From a question to what the cluster says.

use super::index::{Index, State};
use super::labels::{below, key, lower, reversed, undashed};
use super::service::{Asked, Said};
use crate::wire::{Name, Record, Type};

/// The version of the specification.
const VERSION: &str = "1.1.0";

/// What the cluster says to a question. What does not exist comes with the record that says for how long.
#[derive(Debug, PartialEq)]
pub enum Found {
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    /// Another name is to be asked for, which may not be the cluster's.
    Alias(Record),
    /// The name exists, but not with this type.
    NoData(Record),
    /// There is no such name, and none below it.
    NoName(Record),
    /// Not all of the cluster is known yet.
    Unknown,
}

impl Index {
    /// What the cluster says of `name`; none if it is not the cluster's to say. At most about `room` records are
    /// given, beginning with number `spin`.
    #[must_use]
    pub fn look_up(&self, name: &Name, kind: Type, room: usize, spin: usize) -> Option<Found> {
        let asked = Asked {
            name,
            kind,
            ttl: self.ttl,
            room: room.max(1),
            spin,
        };
        if let Some(labels) = below(name, &self.zone) {
            let said = self.below_zone(&asked, &labels);
            return Some(self.found(said));
        }
        self.reverse(&asked)
    }

    fn found(&self, said: Said) -> Found {
        match said {
            Said::Records {
                answers,
                additionals,
            } if !answers.is_empty() => Found::Records {
                answers,
                additionals,
            },
            Said::Alias(record) => Found::Alias(*record),
            _ if !self.is_complete() => Found::Unknown,
            Said::Records { .. } => Found::NoData(self.soa()),
            Said::Nothing => Found::NoName(self.soa()),
        }
    }

    /// `labels` from the zone downwards.
    fn below_zone(&self, asked: &Asked<'_>, labels: &[&[u8]]) -> Said {
        let Some((first, rest)) = labels.split_first() else {
            return self.apex(asked);
        };
        let state = self.state.read();
        let is = |label: &str| first.eq_ignore_ascii_case(label.as_bytes());
        if is("svc") {
            in_services(&state, asked, rest)
        } else if is("pod") {
            in_pods(&state, asked, rest)
        } else if is("dns-version") && rest.is_empty() {
            match asked.wants(Type::TXT) {
                true => Said::of(vec![Record::text(asked.name, asked.ttl, VERSION)]),
                false => nothing_here(),
            }
        } else if is("dns") {
            match rest {
                [] => nothing_here(),
                [server] if server.eq_ignore_ascii_case(b"ns") => {
                    Said::of(asked.addresses(state.own_addresses()))
                }
                _ => Said::Nothing,
            }
        } else {
            Said::Nothing
        }
    }

    fn apex(&self, asked: &Asked<'_>) -> Said {
        match asked.kind {
            Type::SOA => Said::of(vec![self.soa()]),
            Type::NS => {
                let server = self.server();
                let state = self.state.read();
                Said::Records {
                    answers: vec![asked.pointing(Type::NS, server)],
                    additionals: asked.beside(server, state.own_addresses()),
                }
            }
            _ => nothing_here(),
        }
    }

    /// The names of addresses; what nobody here has is for others to tell.
    fn reverse(&self, asked: &Asked<'_>) -> Option<Found> {
        if asked.kind != Type::PTR {
            return None;
        }
        let address = reversed(asked.name)?;
        let state = self.state.read();
        let names = state.names_of(address, asked.room);
        if names.is_empty() {
            return (!self.is_complete()).then_some(Found::Unknown);
        }
        let pointers = names.iter().map(|name| asked.pointing(Type::PTR, name));
        Some(self.found(Said::of(pointers.collect())))
    }
}

/// A name that exists because there are others below it.
fn nothing_here() -> Said {
    Said::of(Vec::new())
}

/// `labels` from `svc` downwards: namespace, service, and what is below it.
fn in_services(state: &State, asked: &Asked<'_>, labels: &[&[u8]]) -> Said {
    let (namespace, below) = match labels {
        [] => return nothing_here(),
        [namespace] => return of_namespace(state, namespace),
        [namespace, below @ ..] => (namespace, below),
    };
    let [service, below @ ..] = below else {
        return Said::Nothing;
    };
    let view = key(namespace, service).and_then(|key| state.service(&key));
    let Some(view) = view else {
        return Said::Nothing;
    };
    match below {
        [] => asked.of_service(view),
        [label] => match lower(label) {
            Some(label) => asked.of_label(view, &label),
            None => Said::Nothing,
        },
        [protocol, port] => {
            let (protocol, port) = (underscored(protocol), underscored(port));
            match (protocol, port) {
                (Some(protocol), Some(port)) => asked.of_port(view, &port, &protocol),
                _ => Said::Nothing,
            }
        }
        _ => Said::Nothing,
    }
}

fn underscored(label: &[u8]) -> Option<String> {
    lower(label.strip_prefix(b"_")?)
}

/// `labels` from `pod` downwards. Whether there is such a pod is not looked at, as with CoreDNS' `pods insecure`.
fn in_pods(state: &State, asked: &Asked<'_>, labels: &[&[u8]]) -> Said {
    match labels {
        [] => nothing_here(),
        [namespace] => of_namespace(state, namespace),
        [namespace, address] => {
            let exists = lower(namespace).is_some_and(|name| state.has_namespace(&name));
            match undashed(address).filter(|_| exists) {
                Some(address) => Said::of(asked.addresses(&[address])),
                None => Said::Nothing,
            }
        }
        _ => Said::Nothing,
    }
}

fn of_namespace(state: &State, label: &[u8]) -> Said {
    match lower(label).is_some_and(|name| state.has_namespace(&name)) {
        true => nothing_here(),
        false => Said::Nothing,
    }
}
