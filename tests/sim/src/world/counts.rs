//! What happened in a run, as numbers: a fault that never happened has tested nothing.

use std::collections::BTreeMap;

/// Counters by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, name: &'static str, n: u64) {
        *self.0.entry(name).or_default() += n;
    }

    pub(crate) fn one(&mut self, name: &'static str) {
        self.add(name, 1);
    }
}
