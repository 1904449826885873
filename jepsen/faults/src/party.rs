//! Who talks to whom: members and clients, and the partitions that can be drawn between them.
//!
//! Partitions are data: a set of [`Blocked`] directions. The functions below make the usual shapes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// A member, counted from 0.
    Member(usize),
    /// All clients together: they share one address.
    Clients,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(index) => write!(f, "m{index}"),
            Self::Clients => write!(f, "clients"),
        }
    }
}

/// A direction in which nothing arrives. The other direction of the same pair is a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Blocked {
    /// Whose packets are lost.
    pub from: Party,
    /// Who does not receive them.
    pub to: Party,
}

impl Blocked {
    /// Between two members.
    pub fn members(from: usize, to: usize) -> Self {
        Self {
            from: Party::Member(from),
            to: Party::Member(to),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

/// Both directions between two members.
pub fn pair(a: usize, b: usize) -> Vec<Blocked> {
    vec![Blocked::members(a, b), Blocked::members(b, a)]
}

/// Groups that cannot reach each other; members that are in no group are untouched.
pub fn groups(groups: &[Vec<usize>]) -> Vec<Blocked> {
    let mut blocked = Vec::new();
    for (index, left) in groups.iter().enumerate() {
        for right in &groups[index + 1..] {
            for &a in left {
                for &b in right {
                    blocked.extend(pair(a, b));
                }
            }
        }
    }
    blocked
}

/// One member apart from all other members; clients still reach it.
pub fn isolate(members: usize, alone: usize) -> Vec<Blocked> {
    let others = (0..members).filter(|&m| m != alone).collect();
    groups(&[vec![alone], others])
}

/// Two halves that only meet in `middle`, which sees everybody. `order` lists all members.
pub fn bridge(order: &[usize], middle: usize) -> Vec<Blocked> {
    let rest: Vec<usize> = order.iter().copied().filter(|&m| m != middle).collect();
    let (left, right) = rest.split_at(rest.len() / 2);
    groups(&[left.to_vec(), right.to_vec()])
}

/// Every member sees its neighbours in `order` only; below four members that is everybody.
pub fn ring(order: &[usize]) -> Vec<Blocked> {
    let n = order.len();
    let mut blocked = Vec::new();
    for i in 0..n {
        for j in i + 2..n {
            if !(i == 0 && j == n - 1) {
                blocked.extend(pair(order[i], order[j]));
            }
        }
    }
    blocked
}

/// `member` hears nobody, but all hear it.
pub fn deaf(members: usize, member: usize) -> Vec<Blocked> {
    (0..members)
        .filter(|&m| m != member)
        .map(|m| Blocked::members(m, member))
        .collect()
}

/// `member` is heard by nobody, but hears all.
pub fn mute(members: usize, member: usize) -> Vec<Blocked> {
    (0..members)
        .filter(|&m| m != member)
        .map(|m| Blocked::members(member, m))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sees(blocked: &[Blocked], a: usize, b: usize) -> bool {
        !blocked.contains(&Blocked::members(a, b))
    }

    #[test]
    fn a_bridge_sees_both_halves() {
        let blocked = bridge(&[0, 1, 2, 3, 4], 2);
        assert!(
            (0..5)
                .filter(|&m| m != 2)
                .all(|m| sees(&blocked, 2, m) && sees(&blocked, m, 2))
        );
        assert!(sees(&blocked, 0, 1) && sees(&blocked, 3, 4));
        assert!(!sees(&blocked, 0, 3) && !sees(&blocked, 4, 1));
        assert_eq!(blocked.len(), 8);
    }

    #[test]
    fn a_ring_leaves_two_neighbours_each() {
        let blocked = ring(&[0, 1, 2, 3, 4]);
        for a in 0..5 {
            let seen = (0..5).filter(|&b| b != a && sees(&blocked, a, b)).count();
            assert_eq!(seen, 2, "member {a}");
        }
        assert!(ring(&[0, 1, 2]).is_empty());
    }

    #[test]
    fn one_way_shapes_block_one_way() {
        assert!(deaf(3, 0).iter().all(|b| b.to == Party::Member(0)));
        assert!(mute(3, 0).iter().all(|b| b.from == Party::Member(0)));
        assert_eq!(isolate(3, 1).len(), 4);
    }
}
