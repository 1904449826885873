//! How a member is, and what it says it has found and repaired.

use crate::cluster::Cluster;
use crate::http_get;
use std::collections::BTreeMap;
use std::fmt;

/// Counters of damage, over all lives of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// By kind, as the metrics name them.
    pub found: BTreeMap<String, u64>,
    /// Times it began anew.
    pub repairs: u64,
    /// Files made again in place.
    pub rebuilt: u64,
}

impl Findings {
    /// What came on top of `before`.
    pub fn since(&self, before: &Self) -> Self {
        let more = |(kind, count): (&String, &u64)| {
            let new = count - before.found.get(kind).copied().unwrap_or(0).min(*count);
            (new > 0).then(|| (kind.clone(), new))
        };
        Self {
            found: self.found.iter().filter_map(more).collect(),
            repairs: self.repairs.saturating_sub(before.repairs),
            rebuilt: self.rebuilt.saturating_sub(before.rebuilt),
        }
    }

    /// Whether anything was noticed.
    pub fn any(&self) -> bool {
        !self.found.is_empty() || self.repairs + self.rebuilt > 0
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<&str> = self.found.keys().map(String::as_str).collect();
        write!(
            f,
            "found [{}], {} repaired, {} rebuilt",
            kinds.join(" "),
            self.repairs,
            self.rebuilt
        )
    }
}

/// What a member's metrics say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Damage so far.
    pub findings: Findings,
    /// Serves nothing because it is being repaired.
    pub repairing: bool,
    /// Its vote counts.
    pub votes: bool,
    /// Complete readings of all data since its process began.
    pub scrubs: u64,
    /// Damaged snapshots it did not take.
    pub refused: u64,
}

impl Vitals {
    /// Asks a member; `None` when it does not answer.
    pub async fn of(cluster: &Cluster, member: usize) -> Option<Self> {
        let (port, tls) = (cluster.client_port(member), cluster.client_identity());
        let page = http_get::get(port, "/metrics", tls).await.ok()?;
        let samples: BTreeMap<&str, u64> = page
            .body
            .lines()
            .filter(|line| line.starts_with("mainstay_"))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
            .collect();
        let get = |name: &str| samples.get(name).copied().unwrap_or(0);
        let kind = |name: &str| {
            let rest = name.strip_prefix("mainstay_corruptions_found_total{kind=\"")?;
            Some(rest.strip_suffix("\"}")?.to_owned())
        };
        let found = samples.iter().filter(|(_, count)| **count > 0);
        let found = found.filter_map(|(name, count)| Some((kind(name)?, *count)));
        Some(Self {
            findings: Findings {
                found: found.collect(),
                repairs: get("mainstay_repairs_total"),
                rebuilt: get("mainstay_rebuilt_files_total"),
            },
            repairing: get("mainstay_repairing") == 1,
            votes: get("mainstay_votes") == 1,
            scrubs: get("mainstay_scrubs_total"),
            refused: get("mainstay_snapshots_refused_total"),
        })
    }

    /// Serves, votes, and has read all its data at least once since it began.
    pub fn is_well(&self) -> bool {
        !self.repairing && self.votes && self.scrubs > 0
    }
}
