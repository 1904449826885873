//! Which numbers of which map stand for the endpoints of a chain.

use std::collections::{BTreeSet, HashMap};

use super::rule::Slot;
use crate::limits::CHAINS_PER_MAP;

/// Numbers are not used again, so that no packet meets another service's endpoint under an old one; far above what
/// is given out between two writes of the whole table, which begins anew.
const NUMBERS_MAX: u32 = 1 << 30;

/// Numbers that were given out.
#[derive(Debug, Default)]
pub(super) struct Slots {
    maps: Vec<Map>,
    /// Maps that have room for another chain.
    open: BTreeSet<u32>,
    of_chains: HashMap<String, (Slot, u32)>,
}

#[derive(Debug, Default)]
struct Map {
    chains: u32,
    next: u32,
}

impl Slots {
    /// New numbers for a chain.
    pub(super) fn take(&mut self, chain: &str, count: usize) -> Slot {
        let count = u32::try_from(count).expect("endpoints are counted in 32 bits");
        let map = match self.of_chains.get(chain) {
            Some((slot, _)) => slot.map,
            None => self.room(),
        };
        let used = &mut self.maps[usize::try_from(map).expect("maps are counted in 32 bits")];
        let slot = Slot {
            map,
            first: used.next,
        };
        used.next = used.next.saturating_add(count);
        self.of_chains.insert(chain.to_owned(), (slot, count));
        slot
    }

    fn room(&mut self) -> u32 {
        let map = self.open.first().copied().unwrap_or_else(|| {
            self.maps.push(Map::default());
            let last = self.maps.len() - 1;
            u32::try_from(last).expect("fewer maps than chains")
        });
        let used = &mut self.maps[usize::try_from(map).expect("maps are counted in 32 bits")];
        used.chains += 1;
        match used.chains < CHAINS_PER_MAP {
            true => self.open.insert(map),
            false => self.open.remove(&map),
        };
        map
    }

    /// The chain has none any more.
    pub(super) fn give_back(&mut self, chain: &str) {
        if let Some((slot, _)) = self.of_chains.remove(chain) {
            let at = usize::try_from(slot.map).expect("maps are counted in 32 bits");
            self.maps[at].chains -= 1;
            self.open.insert(slot.map);
        }
    }

    /// The numbers that a chain has, and how many.
    pub(super) fn of(&self, chain: &str) -> Option<(Slot, u32)> {
        self.of_chains.get(chain).copied()
    }

    pub(super) fn maps(&self) -> u32 {
        u32::try_from(self.maps.len()).expect("fewer maps than chains")
    }

    /// Whether it is time to begin anew.
    pub(super) fn is_worn(&self) -> bool {
        self.maps.iter().any(|map| map.next > NUMBERS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_share_maps_and_numbers_are_never_used_again() {
        let mut slots = Slots::default();
        let a = slots.take("a", 3);
        let b = slots.take("b", 2);
        assert_eq!((a.map, a.first, b.map, b.first), (0, 0, 0, 3));
        let again = slots.take("a", 4);
        assert_eq!((again.map, again.first), (0, 5));
        slots.give_back("b");
        assert_eq!(slots.take("c", 1).first, 9);
        for number in 0..CHAINS_PER_MAP {
            slots.take(&number.to_string(), 2);
        }
        assert_eq!(slots.maps(), 2);
        assert_eq!(slots.of("a"), Some((again, 4)));
        assert_eq!(slots.of("b"), None);
    }
}
