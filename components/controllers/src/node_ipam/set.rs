//! The ranges of one length within the cluster's range, one bit for each.

use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::limits::{CIDR_BITS_MAX_V4, CIDR_BITS_MAX_V6};

/// Which ranges are used.
#[derive(Clone, Debug)]
pub(super) struct CidrSet {
    cluster: IpNet,
    /// Prefix of a node's range.
    length: u8,
    used: Vec<u64>,
    size: usize,
    /// Where to look next: what was let go last is given last.
    next: usize,
}

impl CidrSet {
    /// All ranges of a length, and none is used.
    ///
    /// # Errors
    /// Says why there are none, or too many.
    pub(super) fn new(cluster: IpNet, length: u8) -> Result<Self, String> {
        let cluster = cluster.trunc();
        if length < cluster.prefix_len() || length > cluster.max_prefix_len() {
            return Err(
                "Invalid --cluster-cidr, mask size of cluster CIDR must be less than or equal to \
                 --node-cidr-mask-size configured for CIDR family"
                    .to_owned(),
            );
        }
        let bits = length - cluster.prefix_len();
        let most = match cluster {
            IpNet::V4(_) => CIDR_BITS_MAX_V4,
            IpNet::V6(_) => CIDR_BITS_MAX_V6,
        };
        if bits > most {
            return Err("New CIDR set failed; the node CIDR size is too big".to_owned());
        }
        let size = 1_usize << bits;
        Ok(Self {
            cluster,
            length,
            used: vec![0; size.div_ceil(64)],
            size,
            next: 0,
        })
    }

    /// Takes the next range that is not used.
    pub(super) fn take(&mut self) -> Option<IpNet> {
        let mut index = self.next;
        let mut looked = 0;
        while looked < self.size {
            let word = self.used[index / 64];
            // Of a full word only the end is of interest.
            if word == u64::MAX && index.is_multiple_of(64) && index + 64 <= self.size {
                looked += 64;
                index = (index + 64) % self.size;
                continue;
            }
            if word & (1 << (index % 64)) == 0 {
                self.used[index / 64] |= 1 << (index % 64);
                self.next = (index + 1) % self.size;
                return Some(self.range(index));
            }
            looked += 1;
            index = (index + 1) % self.size;
        }
        None
    }

    /// Marks all ranges that have an address in common with this one; `false` if there are none.
    pub(super) fn occupy(&mut self, range: &IpNet) -> bool {
        let Some(indexes) = self.indexes(range) else {
            return false;
        };
        for index in indexes {
            self.used[index / 64] |= 1 << (index % 64);
        }
        true
    }

    pub(super) fn release(&mut self, range: &IpNet) {
        for index in self.indexes(range).into_iter().flatten() {
            self.used[index / 64] &= !(1 << (index % 64));
        }
    }

    fn range(&self, index: usize) -> IpNet {
        let (first, _) = bounds(&self.cluster);
        let host = u32::from(self.cluster.max_prefix_len() - self.length);
        let start = first | ((index as u128).checked_shl(host).unwrap_or(0));
        let range = match self.cluster {
            IpNet::V4(_) => {
                let start = u32::try_from(start).unwrap_or(u32::MAX);
                Ipv4Net::new(start.into(), self.length).map(IpNet::V4)
            }
            IpNet::V6(_) => Ipv6Net::new(start.into(), self.length).map(IpNet::V6),
        };
        range.expect("the length is one of the family's")
    }

    fn indexes(&self, range: &IpNet) -> Option<RangeInclusive<usize>> {
        if range.max_prefix_len() != self.cluster.max_prefix_len() {
            return None;
        }
        let (first, last) = bounds(range);
        let (start, end) = bounds(&self.cluster);
        let (first, last) = (first.max(start), last.min(end));
        if first > last {
            return None;
        }
        let host = u32::from(self.cluster.max_prefix_len() - self.length);
        let index = |address: u128| (address - start).checked_shr(host).unwrap_or(0);
        let index = |address: u128| usize::try_from(index(address)).ok();
        Some(index(first)?..=index(last)?)
    }
}

/// First and last address.
fn bounds(range: &IpNet) -> (u128, u128) {
    match range {
        IpNet::V4(range) => (
            u32::from(range.network()).into(),
            u32::from(range.broadcast()).into(),
        ),
        IpNet::V6(range) => (range.network().into(), range.broadcast().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cluster: &str, length: u8) -> CidrSet {
        let cluster = cluster.parse().expect("a range");
        CidrSet::new(cluster, length).expect("it has room")
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a range")
    }

    fn take(set: &mut CidrSet) -> Option<String> {
        set.take().map(|range| range.to_string())
    }

    #[test]
    fn ranges_are_given_in_order_and_what_was_let_go_last_is_given_last() {
        let mut set = set("10.0.0.0/22", 24);
        for expected in ["10.0.0.0/24", "10.0.1.0/24"] {
            assert_eq!(take(&mut set).as_deref(), Some(expected));
        }
        set.release(&net("10.0.0.0/24"));
        for expected in ["10.0.2.0/24", "10.0.3.0/24", "10.0.0.0/24"] {
            assert_eq!(take(&mut set).as_deref(), Some(expected));
        }
        assert_eq!(take(&mut set), None);
        set.release(&net("10.0.2.0/24"));
        assert_eq!(take(&mut set).as_deref(), Some("10.0.2.0/24"));
    }

    #[test]
    fn what_overlaps_is_used() {
        let mut set = set("10.0.0.0/16", 24);
        assert!(set.occupy(&net("10.0.0.0/23")));
        assert!(set.occupy(&net("10.0.2.77/32")));
        assert!(!set.occupy(&net("10.1.0.0/24")));
        assert!(!set.occupy(&net("2001:db8::/64")));
        assert_eq!(take(&mut set).as_deref(), Some("10.0.3.0/24"));
        assert!(set.occupy(&net("10.0.0.0/8")), "all of it");
        assert_eq!(take(&mut set), None);
        set.release(&net("10.0.200.0/24"));
        assert_eq!(take(&mut set).as_deref(), Some("10.0.200.0/24"));
    }

    #[test]
    fn ranges_of_ipv6_lie_on_both_sides_of_the_middle() {
        for (cluster, length, second) in [
            ("fd00:10::/48", 64, "fd00:10:0:1::/64"),
            ("fd00::/56", 72, "fd00::100:0:0:0/72"),
            ("fd00::/108", 120, "fd00::100/120"),
        ] {
            let mut set = set(cluster, length);
            set.take();
            assert_eq!(take(&mut set).as_deref(), Some(second), "{cluster}");
        }
        let mut all = set("fd00::/48", 64);
        for _ in 0..65_536 {
            assert!(all.take().is_some());
        }
        assert_eq!(all.take(), None);
    }

    #[test]
    fn a_cluster_may_be_one_range_and_no_smaller() {
        assert_eq!(
            take(&mut set("10.0.0.7/24", 24)).as_deref(),
            Some("10.0.0.0/24")
        );
        assert_eq!(
            take(&mut set("10.0.0.0/31", 32)).as_deref(),
            Some("10.0.0.0/32")
        );
        assert!(CidrSet::new(net("10.0.0.0/25"), 24).is_err());
        assert!(CidrSet::new(net("10.0.0.0/8"), 33).is_err());
        assert!(CidrSet::new(net("fd00::/47"), 64).is_err());
        assert!(CidrSet::new(net("0.0.0.0/0"), 32).is_err());
    }
}
