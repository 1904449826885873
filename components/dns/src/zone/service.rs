//! What is said of one service.

use std::net::IpAddr;

use super::index::View;
use super::objects::{Kind, Port};
use crate::wire::{Name, Record, Type};

/// A question about a service: how it was called, and how much room there is for answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The name as the client wrote it.
    pub(super) name: &'a Name,
    pub(super) kind: Type,
    pub(super) ttl: u32,
    /// Records that can be of use.
    pub(super) room: usize,
    /// At which record to begin, so that clients that take the first one are spread.
    pub(super) spin: usize,
}

/// What there is under a name.
#[derive(Debug)]
pub(super) enum Said {
    /// Possibly nothing of this type.
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    Alias(Box<Record>),
    Nothing,
}

impl Said {
    pub(super) fn of(answers: Vec<Record>) -> Self {
        Self::Records {
            answers,
            additionals: Vec::new(),
        }
    }
}

impl Asked<'_> {
    pub(super) fn record(&self, address: IpAddr) -> Record {
        Record::address(self.name, self.ttl, address)
    }

    pub(super) fn pointing(&self, kind: Type, to: &Name) -> Record {
        Record::pointing(self.name, kind, self.ttl, to)
    }

    pub(super) fn wants(&self, kind: Type) -> bool {
        self.kind == kind || self.kind == Type::ANY
    }

    /// The addresses among `all` that were asked for.
    pub(super) fn addresses(&self, all: &[IpAddr]) -> Vec<Record> {
        let wanted = |address: &&IpAddr| {
            self.wants(match address {
                IpAddr::V4(_) => Type::A,
                IpAddr::V6(_) => Type::AAAA,
            })
        };
        let wanted = all.iter().filter(wanted).take(self.room);
        wanted.map(|address| self.record(*address)).collect()
    }

    /// The name of the service itself.
    pub(super) fn of_service(&self, view: View<'_>) -> Said {
        match &view.service.kind {
            Kind::External(None) => Said::Nothing,
            Kind::External(Some(target)) => {
                Said::Alias(Box::new(self.pointing(Type::CNAME, target)))
            }
            Kind::Headless if view.members.all.is_empty() => Said::Nothing,
            _ if self.kind == Type::SRV => self.services(view, |_| true),
            Kind::Cluster(addresses) => Said::of(self.addresses(addresses)),
            Kind::Headless => {
                let mut answers = Vec::new();
                if self.wants(Type::A) {
                    let some = spun(&view.members.four, self.spin).take(self.room);
                    answers.extend(some.map(|address| self.record((*address).into())));
                }
                if self.wants(Type::AAAA) {
                    let some = spun(&view.members.six, self.spin).take(self.room);
                    answers.extend(some.map(|address| self.record((*address).into())));
                }
                Said::of(answers)
            }
        }
    }

    /// `LABEL.SERVICE…`: an endpoint, or `_tcp`, under which there are only other names.
    pub(super) fn of_label(&self, view: View<'_>, label: &str) -> Said {
        if let Some(protocol) = label.strip_prefix('_') {
            return match self.ports(view).any(|port| port.protocol == protocol) {
                true => Said::of(Vec::new()),
                false => Said::Nothing,
            };
        }
        if matches!(view.service.kind, Kind::External(_)) {
            return Said::Nothing;
        }
        let Some(member) = view.members.get(label) else {
            return Said::Nothing;
        };
        if self.kind != Type::SRV {
            return Said::of(self.addresses(&member.addresses));
        }
        let records = member.ports.iter().take(self.room);
        let answers = records.map(|port| self.server(port, 100, &member.target));
        Said::Records {
            answers: answers.collect(),
            additionals: self.beside(&member.target, &member.addresses),
        }
    }

    /// `_PORT._PROTOCOL.SERVICE…`
    pub(super) fn of_port(&self, view: View<'_>, port: &str, protocol: &str) -> Said {
        let is_asked = |known: &Port| {
            known.protocol == protocol && known.name == port && !known.name.is_empty()
        };
        if !self.ports(view).any(is_asked) {
            return Said::Nothing;
        }
        match self.wants(Type::SRV) {
            true => self.services(view, is_asked),
            false => Said::of(Vec::new()),
        }
    }

    /// All ports that are reached under the service's name.
    fn ports<'a>(&self, view: View<'a>) -> impl Iterator<Item = &'a Port> {
        let of_members = view.members.all.iter().flat_map(|member| &member.ports);
        let (own, of_members) = match view.service.kind {
            Kind::Cluster(_) => (&view.service.ports[..], None),
            Kind::Headless => (&[][..], Some(of_members)),
            Kind::External(_) => (&[][..], None),
        };
        own.iter().chain(of_members.into_iter().flatten())
    }

    /// SRV records for the ports that `is_asked` takes.
    fn services(&self, view: View<'_>, is_asked: impl Fn(&Port) -> bool) -> Said {
        if let Kind::Cluster(addresses) = &view.service.kind {
            let asked: Vec<&Port> = view.service.ports.iter().filter(|p| is_asked(p)).collect();
            let share = share(asked.len());
            let answers: Vec<Record> = asked
                .iter()
                .take(self.room)
                .map(|port| self.server(port, share, view.name))
                .collect();
            let additionals = match answers.is_empty() {
                true => Vec::new(),
                false => self.beside(view.name, addresses),
            };
            return Said::Records {
                answers,
                additionals,
            };
        }
        let share = share(view.members.all.len());
        let (mut answers, mut additionals) = (Vec::new(), Vec::new());
        for member in spun(&view.members.all, self.spin) {
            if answers.len() >= self.room {
                break;
            }
            let before = answers.len();
            let asked = member.ports.iter().filter(|port| is_asked(port));
            answers.extend(asked.map(|port| self.server(port, share, &member.target)));
            if answers.len() > before {
                additionals.extend(self.beside(&member.target, &member.addresses));
            }
        }
        Said::Records {
            answers,
            additionals,
        }
    }

    fn server(&self, port: &Port, weight: u16, target: &Name) -> Record {
        Record::service(self.name, self.ttl, weight, port.number, target)
    }

    pub(super) fn beside(&self, name: &Name, addresses: &[IpAddr]) -> Vec<Record> {
        let of = |address: &IpAddr| Record::address(name, self.ttl, *address);
        addresses.iter().map(of).collect()
    }
}

/// Equal weights, 100 together, as CoreDNS gives them.
fn share(count: usize) -> u16 {
    let count = u16::try_from(count.clamp(1, 100)).unwrap_or(100);
    100 / count
}

/// All of `items`, beginning somewhere in the middle.
fn spun<T>(items: &[T], spin: usize) -> impl Iterator<Item = &T> {
    let start = match items.len() {
        0 => 0,
        count => spin % count,
    };
    let (last, first) = items.split_at(start);
    first.iter().chain(last)
}
