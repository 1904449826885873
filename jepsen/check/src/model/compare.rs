//! Guards of transactions.

use std::cmp::Ordering;

use super::range::is_single;
use super::state::{State, Stored};
use crate::history::{Cmp, Compare, Target};

impl State {
    pub(super) fn holds(&self, compare: &Compare) -> bool {
        if is_single(&compare.end) {
            return holds_for(compare, self.get(&compare.key));
        }
        let mut any = false;
        let all = self.scan(&compare.key, &compare.end).all(|(_, stored)| {
            any = true;
            holds_for(compare, Some(stored))
        });
        // An empty range compares as one missing key.
        if any { all } else { holds_for(compare, None) }
    }
}

fn holds_for(compare: &Compare, stored: Option<&Stored>) -> bool {
    let number = |of: fn(&Stored) -> i64| stored.map_or(0, of);
    let order = match &compare.target {
        Target::Version(wanted) => number(|s| s.version).cmp(wanted),
        Target::Create(wanted) => number(|s| s.create).cmp(wanted),
        Target::Mod(wanted) => number(|s| s.modified).cmp(wanted),
        Target::Lease(wanted) => number(|s| s.lease).cmp(wanted),
        Target::Value(wanted) => match stored {
            Some(stored) => stored.value.cmp(wanted),
            None => return false,
        },
    };
    match compare.cmp {
        Cmp::Equal => order == Ordering::Equal,
        Cmp::NotEqual => order != Ordering::Equal,
        Cmp::Less => order == Ordering::Less,
        Cmp::Greater => order == Ordering::Greater,
    }
}
