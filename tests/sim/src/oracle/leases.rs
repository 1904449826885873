//! Leases: none ends before its time by any correct clock, none lives on for ever.

use std::collections::BTreeMap;

use mainstay_raft::inspect::{Content, Decoded};

use super::{Checked, violated};

#[derive(Clone, Copy, Debug)]
struct Lease {
    ttl_us: u64,
    /// True time of the last call that promised the whole time to live.
    promised_at: Option<u64>,
    /// A client asked for its end.
    unwanted: bool,
    granted_at: u64,
    gone_at: Option<u64>,
}

/// Every lease that was ever asked for.
#[derive(Debug, Default)]
pub(crate) struct LeaseOracle {
    leases: BTreeMap<i64, Lease>,
    pub(crate) expired: u64,
    /// Fastest clock of the run.
    fastest: f64,
}

impl LeaseOracle {
    pub(crate) fn new(fastest: f64) -> Self {
        Self {
            fastest,
            ..Self::default()
        }
    }

    pub(crate) fn committed(&mut self, now: u64, content: &Content) -> Checked {
        match content {
            Content::Command(Decoded::LeaseGrant { id, ttl }) => {
                self.leases.entry(*id).or_insert(Lease {
                    ttl_us: (*ttl).max(0) as u64 * 1_000_000,
                    promised_at: None,
                    unwanted: false,
                    granted_at: now,
                    gone_at: None,
                });
            }
            Content::Command(Decoded::LeaseRevoke { id }) => {
                let fastest = self.fastest;
                let Some(lease) = self.leases.get_mut(id) else {
                    return Ok(());
                };
                if lease.gone_at.is_some() {
                    return Ok(());
                }
                lease.gone_at = Some(now);
                if lease.unwanted {
                    return Ok(());
                }
                self.expired += 1;
                let from = lease.promised_at.unwrap_or(lease.granted_at);
                let least = (lease.ttl_us as f64 / fastest) as u64;
                // Clocks tick in milliseconds.
                if now + 2_000 < from + least {
                    violated!(
                        "lease {id} of {} s ended {} ms after its last renewal",
                        lease.ttl_us / 1_000_000,
                        now.saturating_sub(from) / 1000
                    );
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A client was promised `ttl` seconds by a call that began at `began`.
    pub(crate) fn promised(&mut self, id: i64, ttl: i64, began: u64) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.ttl_us = ttl.max(0) as u64 * 1_000_000;
            lease.promised_at = lease.promised_at.max(Some(began));
        }
    }

    /// A client asks for the end of a lease.
    pub(crate) fn unwanted(&mut self, id: i64) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.unwanted = true;
        }
    }

    /// A renewal said that there is no such lease.
    pub(crate) fn denied(&self, id: i64, began: u64, now: u64) -> Checked {
        match self.leases.get(&id) {
            Some(lease) if lease.granted_at < began && lease.gone_at.is_none_or(|at| at > now) => {
                violated!("a renewal of lease {id} was told that it does not exist")
            }
            _ => Ok(()),
        }
    }

    /// Leases that are there now.
    pub(crate) fn living(&self) -> Vec<i64> {
        let living = self.leases.iter().filter(|(_, l)| l.gone_at.is_none());
        living.map(|(id, _)| *id).collect()
    }
}
