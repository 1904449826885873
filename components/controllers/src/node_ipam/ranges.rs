//! Which node has which ranges.

use std::collections::HashMap;

use ipnet::IpNet;

use super::set::CidrSet;
use crate::options::Options;

const LENGTH_V4: u8 = 24;
const LENGTH_V6: u8 = 64;

/// Refuses options that cannot be.
///
/// # Errors
/// Says which and why.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    match options.allocate_node_cidrs {
        true => Ranges::new(options).map(drop),
        false => Ok(()),
    }
}

/// The ranges of all nodes, one of each family.
#[derive(Debug)]
pub(super) struct Ranges {
    sets: Vec<CidrSet>,
    held: HashMap<String, Vec<IpNet>>,
    /// Those of services.
    kept_free: Vec<IpNet>,
}

impl Ranges {
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        let clusters = parsed("--cluster-cidr", &options.cluster_cidr)?;
        if clusters.is_empty() {
            return Err("Must specify --cluster-cidr if --allocate-node-cidrs is set".to_owned());
        }
        let lengths = lengths(options, &clusters)?;
        let sets = clusters.into_iter().zip(lengths);
        let sets = sets.map(|(cluster, length)| CidrSet::new(cluster, length));
        let mut ranges = Self {
            sets: sets.collect::<Result<_, _>>()?,
            held: HashMap::new(),
            kept_free: parsed(
                "--service-cluster-ip-range",
                &options.service_cluster_ip_range,
            )?,
        };
        ranges.keep_free();
        Ok(ranges)
    }

    fn keep_free(&mut self) {
        for range in &self.kept_free {
            for set in &mut self.sets {
                set.occupy(range);
            }
        }
    }

    /// What a node has, or is to be given.
    pub(super) fn of(&self, node: &str) -> Option<&[IpNet]> {
        self.held.get(node).map(Vec::as_slice)
    }

    /// A node has these ranges. Returns those that are none of the cluster's.
    pub(super) fn has(&mut self, node: &str, ranges: &[IpNet]) -> Vec<IpNet> {
        if self.held.get(node).is_none_or(|held| held != ranges) {
            self.let_go(node);
            self.held.insert(node.to_owned(), ranges.to_vec());
        }
        let sets = &mut self.sets;
        let foreign = ranges
            .iter()
            .filter(|range| !sets.iter_mut().any(|set| set.occupy(range)));
        foreign.copied().collect()
    }

    /// The ranges of a node; takes some for it if it has none. `None` if there are none left.
    pub(super) fn give(&mut self, node: &str) -> Option<Vec<IpNet>> {
        if let Some(held) = self.held.get(node) {
            return Some(held.clone());
        }
        let mut taken = Vec::new();
        for set in &mut self.sets {
            match set.take() {
                Some(range) => taken.push(range),
                None => break,
            }
        }
        if taken.len() < self.sets.len() {
            for (set, range) in self.sets.iter_mut().zip(&taken) {
                set.release(range);
            }
            return None;
        }
        self.held.insert(node.to_owned(), taken.clone());
        Some(taken)
    }

    /// A node is gone. What others have as well stays used.
    pub(super) fn let_go(&mut self, node: &str) -> bool {
        let Some(gone) = self.held.remove(node) else {
            return false;
        };
        for range in &gone {
            self.sets.iter_mut().for_each(|set| set.release(range));
        }
        let is_touched = |range: &&IpNet| gone.iter().any(|gone| overlap(gone, range));
        for range in self.held.values().flatten().filter(is_touched) {
            for set in &mut self.sets {
                set.occupy(range);
            }
        }
        self.keep_free();
        true
    }
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// One range, or one of each family.
fn parsed(flag: &str, text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let ranges: Vec<IpNet> = parts
        .map(|part| {
            part.parse()
                .map_err(|_| format!("{flag}: {part:?} is no CIDR"))
        })
        .collect::<Result<_, _>>()?;
    let of_v4 = ranges.iter().filter(|range| matches!(range, IpNet::V4(_)));
    match (ranges.len(), of_v4.count()) {
        (0 | 1, _) | (2, 1) => Ok(ranges),
        (2, _) => Err(format!(
            "{flag}: expected to be dual-stack (one IPv4 CIDR and one IPv6 CIDR)"
        )),
        (length, _) => Err(format!(
            "{flag}: length is {length}, more than max allowed of 2"
        )),
    }
}

/// The length of a node's range in each of the cluster's.
fn lengths(options: &Options, clusters: &[IpNet]) -> Result<Vec<u8>, String> {
    let only = options.node_cidr_mask_size;
    let (v4, v6) = (
        options.node_cidr_mask_size_ipv4,
        options.node_cidr_mask_size_ipv6,
    );
    let refuse = |why: &str| Err(format!("usage of {why}"));
    if only != 0 && clusters.len() > 1 {
        return refuse("--node-cidr-mask-size is not allowed with dual-stack clusters");
    }
    if only != 0 && (v4 != 0 || v6 != 0) {
        return refuse(
            "--node-cidr-mask-size-ipv4 and --node-cidr-mask-size-ipv6 is not allowed if \
             --node-cidr-mask-size is set",
        );
    }
    match clusters {
        [IpNet::V6(_)] if v4 != 0 => {
            return refuse(
                "--node-cidr-mask-size-ipv4 is not allowed for a single-stack IPv6 cluster",
            );
        }
        [IpNet::V4(_)] if v6 != 0 => {
            return refuse(
                "--node-cidr-mask-size-ipv6 is not allowed for a single-stack IPv4 cluster",
            );
        }
        _ => {}
    }
    let length = |cluster: &IpNet| {
        let (own, default) = match cluster {
            IpNet::V4(_) => (v4, LENGTH_V4),
            IpNet::V6(_) => (v6, LENGTH_V6),
        };
        let mut said = [only, own].into_iter().filter(|length| *length != 0);
        said.next().unwrap_or(default)
    };
    Ok(clusters.iter().map(length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(cluster: &str) -> Options {
        Options {
            allocate_node_cidrs: true,
            cluster_cidr: cluster.to_owned(),
            ..Options::default()
        }
    }

    fn give(ranges: &mut Ranges, node: &str) -> Vec<String> {
        let given = ranges.give(node).unwrap_or_default();
        given.iter().map(ToString::to_string).collect()
    }

    fn net(text: &str) -> IpNet {
        text.parse().expect("a range")
    }

    #[test]
    fn a_node_keeps_what_it_was_given_until_it_is_gone() {
        let mut ranges = Ranges::new(&options("10.0.0.0/22")).expect("they can be");
        assert_eq!(ranges.has("a", &[net("10.0.0.0/24")]), []);
        assert_eq!(give(&mut ranges, "b"), ["10.0.1.0/24"]);
        assert_eq!(give(&mut ranges, "b"), ["10.0.1.0/24"], "asked twice");
        assert_eq!(
            ranges.has("b", &[net("10.0.3.0/24")]),
            [],
            "it got another one"
        );
        assert_eq!(give(&mut ranges, "c"), ["10.0.2.0/24"]);
        assert_eq!(give(&mut ranges, "d"), ["10.0.1.0/24"]);
        assert_eq!(give(&mut ranges, "e"), [""; 0]);
        assert!(ranges.let_go("c") && !ranges.let_go("c"));
        assert_eq!(give(&mut ranges, "e"), ["10.0.2.0/24"]);
    }

    #[test]
    fn what_two_nodes_have_is_free_when_both_are_gone() {
        let mut ranges = Ranges::new(&options("10.0.0.0/23")).expect("they can be");
        ranges.has("a", &[net("10.0.0.0/24")]);
        ranges.has("b", &[net("10.0.0.0/24")]);
        assert_eq!(
            ranges.has("c", &[net("192.168.0.0/24")]),
            [net("192.168.0.0/24")]
        );
        ranges.let_go("a");
        assert_eq!(give(&mut ranges, "d"), ["10.0.1.0/24"]);
        assert_eq!(give(&mut ranges, "e"), [""; 0]);
        ranges.let_go("b");
        assert_eq!(give(&mut ranges, "e"), ["10.0.0.0/24"]);
    }

    #[test]
    fn both_families_or_none() {
        let mut options = options("10.0.0.0/16, fd00::/63");
        options.service_cluster_ip_range = "10.0.0.0/20".to_owned();
        let mut ranges = Ranges::new(&options).expect("they can be");
        assert_eq!(give(&mut ranges, "a"), ["10.0.16.0/24", "fd00::/64"]);
        assert_eq!(give(&mut ranges, "b"), ["10.0.17.0/24", "fd00:0:0:1::/64"]);
        assert_eq!(give(&mut ranges, "c"), [""; 0]);
        ranges.let_go("a");
        assert_eq!(give(&mut ranges, "c"), ["10.0.19.0/24", "fd00::/64"]);
    }

    #[test]
    fn options_that_cannot_be_are_refused() {
        for (cluster, only, v4, v6, works) in [
            ("10.0.0.0/16", 0, 0, 0, true),
            ("10.0.0.0/16", 26, 0, 0, true),
            ("10.0.0.0/16", 0, 26, 0, true),
            ("10.0.0.0/16", 0, 0, 80, false),
            ("10.0.0.0/16", 12, 0, 0, false),
            ("10.0.0.0/16", 24, 26, 0, false),
            ("fd00::/48", 0, 0, 0, true),
            ("fd00::/48", 0, 26, 0, false),
            ("fd00::/104", 120, 0, 0, true),
            ("10.0.0.0/16,fd00::/48", 0, 26, 60, true),
            ("10.0.0.0/16,fd00::/48", 26, 0, 0, false),
            ("10.0.0.0/16,10.1.0.0/16", 0, 0, 0, false),
            ("10.0.0.0/16,fd00::/48,fd01::/48", 0, 0, 0, false),
            ("10.0.0.0", 0, 0, 0, false),
            ("", 0, 0, 0, false),
        ] {
            let mut options = options(cluster);
            options.node_cidr_mask_size = only;
            options.node_cidr_mask_size_ipv4 = v4;
            options.node_cidr_mask_size_ipv6 = v6;
            assert_eq!(check(&options).is_ok(), works, "{cluster} {only} {v4} {v6}");
        }
        assert!(check(&Options::default()).is_ok(), "nothing is asked for");
    }
}
