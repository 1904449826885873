//! What the kernel has of services, and the text that makes it what it should be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mainstay_client::Key;

use super::base::{Base, FIXED};
use super::fragment::{Fragment, List};
use super::names::is_of_service;
use super::saved::Saved;

/// All rules as they are once the texts that were written have been carried out.
#[derive(Debug)]
pub struct Table {
    base: Base,
    fragments: BTreeMap<Key, Fragment>,
}

/// What changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// Chains of services with their rules.
    chains: BTreeMap<String, Vec<String>>,
    /// Chains of services that are gone.
    gone: BTreeSet<String>,
    lists: BTreeSet<List>,
    /// Whether the chains without lines of services are written too.
    fixed: bool,
}

impl Table {
    #[must_use]
    pub fn new(base: Base) -> Self {
        Self {
            base,
            fragments: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Notes what changes with one service.
    pub fn update(&mut self, key: &Key, new: Fragment, changes: &mut Changes) {
        let old = self.fragments.remove(key).unwrap_or_default();
        for chain in old.chains.keys() {
            if !new.chains.contains_key(chain) {
                changes.chains.remove(chain);
                changes.gone.insert(chain.clone());
            }
        }
        for (chain, rules) in &new.chains {
            if old.chains.get(chain) != Some(rules) {
                changes.gone.remove(chain);
                changes.chains.insert(chain.clone(), rules.clone());
            }
        }
        for list in List::ALL {
            if old.lists.get(&list) != new.lists.get(&list) {
                changes.lists.insert(list);
            }
        }
        if new != Fragment::default() {
            self.fragments.insert(key.clone(), new);
        }
    }

    /// Everything, and what is to go of what was `saved`.
    #[must_use]
    pub fn everything(&self, saved: &Saved) -> Changes {
        let chains = self
            .fragments
            .values()
            .flat_map(|fragment| fragment.chains.clone());
        let chains: BTreeMap<_, _> = chains.collect();
        let known = saved.chains.keys().filter(|(table, _)| table == "nat");
        let ours = known
            .map(|(_, chain)| chain)
            .filter(|chain| is_of_service(chain));
        let gone = ours.filter(|chain| !chains.contains_key(*chain)).cloned();
        Changes {
            gone: gone.collect(),
            chains,
            lists: List::ALL.into(),
            fixed: true,
        }
    }

    /// As `iptables-restore --noflush` reads it; empty if nothing changes.
    #[must_use]
    pub fn text(&self, changes: &Changes) -> String {
        let mut text = String::new();
        for table in ["filter", "nat"] {
            let part = self.part(table, changes);
            if !part.is_empty() {
                let _ = write!(text, "*{table}\n{part}COMMIT\n");
            }
        }
        text
    }

    fn part(&self, table: &str, changes: &Changes) -> String {
        let is_nat = table == "nat";
        let (mut heads, mut rules) = (String::new(), String::new());
        let mut chain = |name: &str| {
            let _ = writeln!(heads, ":{name} - [0:0]");
        };
        let mut add = |chain: &str, rule: &str| {
            let _ = writeln!(rules, "-A {chain} {rule}");
        };
        if changes.fixed {
            for (_, name) in FIXED.into_iter().filter(|(of, _)| *of == table) {
                chain(name);
            }
            for (_, name, rule) in self.base.fixed().iter().filter(|(of, ..)| *of == table) {
                add(name, rule);
            }
        }
        for list in changes.lists.iter().filter(|list| list.is_nat() == is_nat) {
            chain(list.chain());
            for rule in self.lines(*list) {
                add(list.chain(), rule);
            }
            for rule in self.base.last(*list) {
                add(list.chain(), &rule);
            }
        }
        if is_nat {
            for (name, lines) in &changes.chains {
                chain(name);
                for rule in lines {
                    add(name, rule);
                }
            }
            for name in &changes.gone {
                chain(name);
            }
            // Only when nothing jumps to them any more.
            for name in &changes.gone {
                let _ = writeln!(rules, "-X {name}");
            }
        }
        heads + &rules
    }

    fn lines(&self, list: List) -> impl Iterator<Item = &String> {
        let all = self.fragments.values();
        all.flat_map(move |fragment| fragment.lists.get(&list).into_iter().flatten())
    }

    /// How many rules there should be in each chain of each table.
    #[must_use]
    pub fn expected(&self) -> Saved {
        let mut saved = Saved::default();
        for (table, chain) in FIXED {
            saved.put(table, chain, 0);
        }
        for (table, chain, _) in self.base.fixed() {
            saved.put(table, chain, 1);
        }
        for list in List::ALL {
            let table = if list.is_nat() { "nat" } else { "filter" };
            let count = self.lines(list).count() + self.base.last(list).len();
            saved.put(table, list.chain(), count);
        }
        for fragment in self.fragments.values() {
            for (chain, rules) in &fragment.chains {
                saved.put("nat", chain, rules.len());
            }
        }
        saved
    }
}
