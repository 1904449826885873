//! What `iptables-save` prints, as far as it is looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::base::JUMPS;

/// Chains of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// By table and chain, how many rules there are.
    pub chains: BTreeMap<(String, String), usize>,
    /// Tables and chains with where they jump to.
    jumps: BTreeSet<(String, String, String)>,
}

/// Differences that are told; the rest are many.
const TOLD_MAX: usize = 5;

impl Saved {
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut saved = Self::default();
        let mut table = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if let Some(chain) = line.strip_prefix(':') {
                saved.put(table, chain.split(' ').next().unwrap_or_default(), 0);
            } else if let Some(rule) = line.strip_prefix("-A ") {
                let chain = rule.split(' ').next().unwrap_or_default();
                saved.put(table, chain, 1);
                if let Some((_, to)) = rule.rsplit_once("-j ") {
                    let jump = (table.to_owned(), chain.to_owned(), to.to_owned());
                    saved.jumps.insert(jump);
                }
            }
        }
        saved
    }

    /// More rules in a chain.
    pub(super) fn put(&mut self, table: &str, chain: &str, rules: usize) {
        let at = (table.to_owned(), chain.to_owned());
        *self.chains.entry(at).or_default() += rules;
    }

    /// How what was found differs from this, in words; nothing if it does not.
    #[must_use]
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for (at, rules) in &self.chains {
            let (table, chain) = at;
            match found.chains.get(at) {
                Some(other) if other == rules => {}
                Some(other) => told.push(format!("{table} {chain} has {other} rules, not {rules}")),
                None => told.push(format!("{table} {chain} is not there")),
            }
        }
        for jump in JUMPS {
            let at = [jump.table, jump.from, jump.to].map(str::to_owned);
            if !found.jumps.contains(&at.into()) {
                told.push(format!(
                    "{} {} does not jump to {}",
                    jump.table, jump.from, jump.to
                ));
            }
        }
        let more = told.len().saturating_sub(TOLD_MAX);
        told.truncate(TOLD_MAX);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told
    }
}
