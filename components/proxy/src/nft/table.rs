//! What the kernel has of services, and how it comes to what it should have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use mainstay_client::Key;

use super::base::Base;
use super::fragment::{Element, Fragment};
use super::names::{is_affinity, is_endpoints, is_of_service};
use super::rule::{Rule, Slot, Verdict};
use super::slots::Slots;
use super::transaction::Transaction;
use super::verify::Found;

/// The table as it is once all transactions that were written have been carried out.
#[derive(Debug)]
pub struct Table {
    base: Base,
    fragments: HashMap<Key, Fragment>,
    /// Who wants each element, and how; the first by name gets it.
    claims: HashMap<Element, BTreeMap<Key, Option<Verdict>>>,
    slots: Slots,
    /// Maps of endpoints that there are.
    maps: u32,
    /// Chains nobody jumps to, which are still there.
    stale: BTreeSet<String>,
}

impl Table {
    #[must_use]
    pub fn new(base: Base) -> Self {
        Self {
            base,
            fragments: HashMap::new(),
            claims: HashMap::new(),
            slots: Slots::default(),
            maps: 0,
            stale: BTreeSet::new(),
        }
    }

    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Whether it has to be written in full, for numbers of endpoints run out.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.slots.is_worn()
    }

    /// Writes what changes with one service. Costs what this service is, not what there are.
    pub fn update(&mut self, key: &Key, new: Fragment, tx: &mut Transaction) {
        let old = self.fragments.remove(key).unwrap_or_default();
        self.update_chains(&old, &new, tx);
        for (set, seconds) in &old.affinities {
            if new.affinities.get(set) != Some(seconds) {
                tx.delete_set(set);
            }
        }
        for (set, seconds) in &new.affinities {
            if old.affinities.get(set) != Some(seconds) {
                tx.add_affinity(set, *seconds);
            }
        }
        let gone = old
            .elements
            .keys()
            .filter(|element| !new.elements.contains_key(*element));
        for element in gone {
            self.claim(element, key, None, tx);
        }
        for (element, verdict) in &new.elements {
            if old.elements.get(element) != Some(verdict) {
                self.claim(element, key, Some(verdict), tx);
            }
        }
        if new != Fragment::default() {
            self.fragments.insert(key.clone(), new);
        }
    }

    fn update_chains(&mut self, old: &Fragment, new: &Fragment, tx: &mut Transaction) {
        for chain in old
            .chains
            .keys()
            .filter(|chain| !new.chains.contains_key(*chain))
        {
            tx.flush_chain(chain);
            self.drop_ends(chain, tx);
            self.slots.give_back(chain);
            self.stale.insert(chain.clone());
        }
        for (chain, rules) in &new.chains {
            match old.chains.get(chain) {
                Some(same) if same == rules => continue,
                Some(_) => {
                    tx.flush_chain(chain);
                    self.drop_ends(chain, tx);
                }
                // One that was about to go is empty and there.
                None if self.stale.remove(chain) => {}
                None => tx.add_chain(chain),
            }
            self.write_chain(chain, rules, tx);
        }
    }

    fn write_chain(&mut self, chain: &str, rules: &[Rule], tx: &mut Transaction) {
        let mut slot = None;
        if let Some(ends) = rules.iter().find_map(balanced) {
            let taken = self.slots.take(chain, ends.len());
            while self.maps < self.slots.maps() {
                tx.add_ends_map(&Slot::map_name(self.maps));
                self.maps += 1;
            }
            tx.add_ends(&Slot::map_name(taken.map), &numbered(taken, ends));
            slot = Some(taken);
        } else {
            self.slots.give_back(chain);
        }
        for rule in rules {
            tx.add_rule(chain, rule.text(self.base.mark, slot));
        }
    }

    fn drop_ends(&self, chain: &str, tx: &mut Transaction) {
        if let Some((slot, count)) = self.slots.of(chain) {
            let numbers = slot.first..slot.first.saturating_add(count);
            let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
            tx.delete_ends(&Slot::map_name(slot.map), &numbers.join(", "));
        }
    }

    /// `wanted` is None for a claim that is given up.
    fn claim(
        &mut self,
        element: &Element,
        key: &Key,
        wanted: Option<&Option<Verdict>>,
        tx: &mut Transaction,
    ) {
        let claims = self.claims.entry(element.clone()).or_default();
        let before = claims.values().next().cloned();
        match wanted {
            Some(verdict) => claims.insert(key.clone(), verdict.clone()),
            None => claims.remove(key),
        };
        let after = claims.values().next().cloned();
        if claims.is_empty() {
            self.claims.remove(element);
        }
        if before == after {
            return;
        }
        let (place, key) = (element.place.name(), &element.key);
        if before.is_some() {
            tx.delete_element(place, key);
        }
        if let Some(verdict) = after {
            tx.add_element(place, element_text(key, verdict.as_ref()));
        }
    }

    /// Chains that nobody jumps to, to be deleted now.
    pub fn delete_stale(&mut self, tx: &mut Transaction) {
        for chain in std::mem::take(&mut self.stale) {
            tx.delete_chain(&chain);
        }
    }

    /// Whether there are chains to be deleted.
    #[must_use]
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Writes everything, over whatever is `found` there. Clients that are remembered stay so.
    pub fn rewrite(&mut self, base: Base, found: &Found, tx: &mut Transaction) {
        self.base = base;
        self.base.write(tx);
        self.slots = Slots::default();
        self.maps = 0;
        self.stale.clear();
        let fragments = std::mem::take(&mut self.fragments);
        let wanted: BTreeSet<&String> = fragments.values().flat_map(|f| f.chains.keys()).collect();
        for chain in found.chains.keys().filter(|chain| is_of_service(chain)) {
            tx.flush_chain(chain);
            if !wanted.contains(chain) {
                self.stale.insert(chain.clone());
            }
        }
        for map in found.sets.keys().filter(|map| is_endpoints(map)) {
            tx.delete_map(map);
        }
        let affinities: BTreeMap<&String, u32> = fragments
            .values()
            .flat_map(|f| f.affinities.iter().map(|(set, seconds)| (set, *seconds)))
            .collect();
        for (set, seconds) in found.sets.iter().filter(|(set, _)| is_affinity(set)) {
            if affinities.get(set) != Some(seconds) {
                tx.delete_set(set);
            }
        }
        for (set, seconds) in affinities {
            tx.add_affinity(set, seconds);
        }
        for fragment in fragments.values() {
            for (chain, rules) in &fragment.chains {
                tx.add_chain(chain);
                self.write_chain(chain, rules, tx);
            }
        }
        for (element, claims) in &self.claims {
            if let Some(verdict) = claims.values().next() {
                tx.add_element(
                    element.place.name(),
                    element_text(&element.key, verdict.as_ref()),
                );
            }
        }
        self.fragments = fragments;
    }

    /// Takes note of services without writing anything: the whole table is written afterwards.
    pub fn note(&mut self, key: &Key, new: Fragment) {
        self.update(key, new, &mut Transaction::default());
    }

    /// What should be found in the kernel.
    #[must_use]
    pub fn expected(&self) -> Found {
        let mut found = Found::default();
        for (chain, count) in self.base.counts() {
            found.chains.insert(chain.to_owned(), count);
        }
        for chain in &self.stale {
            found.chains.insert(chain.clone(), 0);
        }
        for fragment in self.fragments.values() {
            for (chain, rules) in &fragment.chains {
                found.chains.insert(chain.clone(), rules.len());
                let ends = rules.iter().find_map(balanced);
                if let Some((ends, (slot, _))) = ends.zip(self.slots.of(chain)) {
                    for (number, end) in (slot.first..).zip(ends) {
                        let key = (Slot::map_name(slot.map), number.to_string());
                        found.elements.insert(key, end.to_string());
                    }
                }
            }
            for (set, seconds) in &fragment.affinities {
                found.sets.insert(set.clone(), *seconds);
            }
        }
        for (element, claims) in &self.claims {
            let verdict = claims.values().next().cloned().flatten();
            let text = verdict.map(|verdict| verdict.text()).unwrap_or_default();
            let place = element.place.name().to_owned();
            found.elements.insert((place, element.key.clone()), text);
        }
        let (set, addresses) = self.base.node_port_ips();
        for ip in addresses {
            let key = (set.to_owned(), ip.to_string());
            found.elements.insert(key, String::new());
        }
        found
    }
}

fn balanced(rule: &Rule) -> Option<&[Ipv4Addr]> {
    match rule {
        Rule::Balance(_, ends, _) => Some(ends),
        _ => None,
    }
}

fn numbered(slot: Slot, ends: &[Ipv4Addr]) -> String {
    let numbered = (slot.first..).zip(ends);
    let texts = numbered.map(|(number, end)| format!("{number} : {end}"));
    texts.collect::<Vec<_>>().join(", ")
}

fn element_text(key: &str, verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(verdict) => format!("{key} : {}", verdict.text()),
        None => key.to_owned(),
    }
}
