//! From addresses to names.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::wire::Name;

/// How well a name stands for an address: the best ones are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Service,
    Named,
    Unnamed,
}

#[derive(Debug)]
struct Pointer {
    owner: String,
    rank: Rank,
    target: Name,
}

/// Names by address, and which service has put them there.
#[derive(Debug, Default)]
pub(crate) struct Reverse {
    pointers: HashMap<IpAddr, Vec<Pointer>>,
    owned: HashMap<String, Vec<IpAddr>>,
}

impl Reverse {
    pub(crate) fn forget(&mut self, owner: &str) {
        for address in self.owned.remove(owner).into_iter().flatten() {
            if let Some(pointers) = self.pointers.get_mut(&address) {
                pointers.retain(|pointer| pointer.owner != owner);
                if pointers.is_empty() {
                    self.pointers.remove(&address);
                }
            }
        }
    }

    pub(crate) fn add(&mut self, owner: &str, address: IpAddr, rank: Rank, target: Name) {
        let pointer = Pointer {
            owner: owner.to_owned(),
            rank,
            target,
        };
        self.pointers.entry(address).or_default().push(pointer);
        self.owned
            .entry(owner.to_owned())
            .or_default()
            .push(address);
    }

    /// At most `room` names.
    pub(crate) fn names(&self, address: IpAddr, room: usize) -> Vec<Name> {
        let pointers = self.pointers.get(&address).map_or(&[][..], Vec::as_slice);
        let best = pointers.iter().map(|pointer| pointer.rank).min();
        let best = pointers.iter().filter(|p| Some(p.rank) == best);
        best.take(room).map(|p| p.target.clone()).collect()
    }
}
