//! Commands that the kernel carries out together or not at all.

use std::fmt::Display;

use super::TABLE;

/// Commands by their order: what others refer to is added before and removed after them.
#[derive(Debug, Default)]
pub struct Transaction {
    first: Vec<String>,
    chains: Vec<String>,
    elements_gone: Vec<String>,
    flushed: Vec<String>,
    sets_gone: Vec<String>,
    sets: Vec<String>,
    ends: Vec<String>,
    rules: Vec<String>,
    elements: Vec<String>,
}

impl Transaction {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    /// As `nft -f -` reads it.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn lines(&self) -> impl Iterator<Item = &String> {
        let phases = [
            &self.first,
            &self.chains,
            &self.elements_gone,
            &self.flushed,
            &self.sets_gone,
            &self.sets,
            &self.ends,
            &self.rules,
            &self.elements,
        ];
        phases.into_iter().flatten()
    }

    /// Before everything else.
    pub(super) fn first(&mut self, line: String) {
        self.first.push(line);
    }

    pub(super) fn add_chain(&mut self, chain: &str) {
        self.chains.push(format!("add chain {TABLE} {chain}"));
    }

    pub(super) fn delete_element(&mut self, place: &str, key: &str) {
        let line = format!("delete element {TABLE} {place} {{ {key} }}");
        self.elements_gone.push(line);
    }

    pub(super) fn flush_chain(&mut self, chain: &str) {
        self.flushed.push(format!("flush chain {TABLE} {chain}"));
    }

    pub(super) fn delete_chain(&mut self, chain: &str) {
        self.sets_gone.push(format!("delete chain {TABLE} {chain}"));
    }

    pub(super) fn delete_set(&mut self, set: &str) {
        self.sets_gone.push(format!("delete set {TABLE} {set}"));
    }

    pub(super) fn delete_map(&mut self, map: &str) {
        self.sets_gone.push(format!("delete map {TABLE} {map}"));
    }

    /// After the rules that used them are gone.
    pub(super) fn delete_ends(&mut self, map: &str, keys: &str) {
        let line = format!("delete element {TABLE} {map} {{ {keys} }}");
        self.sets_gone.push(line);
    }

    /// A set that remembers clients.
    pub(super) fn add_affinity(&mut self, set: &str, seconds: u32) {
        self.sets.push(format!(
            "add set {TABLE} {set} {{ type ipv4_addr ; flags dynamic,timeout ; timeout {seconds}s ; }}"
        ));
    }

    /// A map of addresses by their numbers. Ports are not in it: nft 1.0.6 takes the protocol that it must name for them
    /// from rules beside it, and refuses a transaction with both protocols.
    pub(super) fn add_ends_map(&mut self, map: &str) {
        self.sets.push(format!(
            "add map {TABLE} {map} {{ typeof numgen random mod 2 : ip daddr ; }}"
        ));
    }

    pub(super) fn add_ends(&mut self, map: &str, elements: &str) {
        let line = format!("add element {TABLE} {map} {{ {elements} }}");
        self.ends.push(line);
    }

    pub(super) fn add_rule(&mut self, chain: &str, rule: impl Display) {
        self.rules.push(format!("add rule {TABLE} {chain} {rule}"));
    }

    pub(super) fn add_element(&mut self, place: &str, element: impl Display) {
        let line = format!("add element {TABLE} {place} {{ {element} }}");
        self.elements.push(line);
    }
}
