//! Lease renewal: one stream with one lease per connection, one request in flight on each.

use anyhow::{Result, ensure};

use super::Target;
use crate::clock;
use crate::conn::{Outcome, Sink};
use crate::fleet::{Fleet, call_once};
use crate::latency::Latency;
use crate::measurement::{Errors, Measurement};
use crate::wire;

/// Long enough that nothing expires meanwhile.
const TTL_S: u64 = 3600;

#[derive(Debug, Default)]
struct Renewals {
    now_ns: u64,
    leases: Vec<u64>,
    started_ns: Vec<u64>,
    answered: Vec<usize>,
    latency: Option<Latency>,
    errors: Errors,
}

impl Sink for Renewals {
    fn arrived(&mut self, now: u64) {
        self.now_ns = now;
    }

    fn message(&mut self, tag: u64, message: &[u8]) {
        let at = tag as usize;
        let answer = (wire::number_of(message, 2), wire::number_of(message, 3));
        self.answered.push(at);
        match answer {
            (Ok(id), Ok(1..)) if id == self.leases[at] => {
                if let Some(latency) = &mut self.latency {
                    latency.record(self.now_ns.saturating_sub(self.started_ns[at]));
                }
            }
            _ => self.errors.add("lease not renewed", 1),
        }
    }

    fn end(&mut self, _: u64, outcome: Outcome) {
        self.errors
            .add(&format!("keep-alive stream ended: {outcome:?}"), 1);
    }
}

/// Runs the workload once.
///
/// # Errors
/// If a connection fails or errors are too many.
pub(super) fn run(conns: usize, target: &Target) -> Result<Measurement> {
    let mut fleet = Fleet::new()?;
    fleet.connect(&target.addresses, conns)?;
    let mut renewals = Renewals::default();
    let mut request = Vec::new();
    wire::lease_grant(&mut request, TTL_S);
    let mut streams = Vec::with_capacity(conns);
    for conn in 0..conns {
        let granted = call_once(target.addresses[0], wire::LEASE_GRANT, &request)?;
        let id = wire::number_of(&granted, 2)?;
        ensure!(id != 0, "lease granted without an id");
        renewals.leases.push(id);
        renewals.started_ns.push(clock::now());
        let mut first = Vec::new();
        wire::lease_keep_alive(&mut first, id);
        streams.push(fleet.call(conn, wire::LEASE_KEEP_ALIVE, conn as u64, &first, false)?);
    }
    spin(
        &mut fleet,
        &mut renewals,
        &streams,
        target.warm_up.as_nanos() as u64,
    )?;
    renewals.latency = Some(Latency::new());
    let first = target.gauge.read();
    spin(
        &mut fleet,
        &mut renewals,
        &streams,
        target.window.as_nanos() as u64,
    )?;
    let usage = target.gauge.read().since(&first);
    let latency = renewals.latency.take().unwrap_or_else(Latency::new);
    Ok(Measurement::new(
        latency.count(),
        &latency,
        &usage,
        &target.gauge,
        renewals.errors,
    ))
}

fn spin(fleet: &mut Fleet, renewals: &mut Renewals, streams: &[u32], length_ns: u64) -> Result<()> {
    let end = clock::now() + length_ns;
    let mut bytes = Vec::new();
    while clock::now() < end {
        fleet.turn(end, renewals)?;
        ensure!(
            !renewals.errors.too_many(),
            "too many errors: {:?}",
            renewals.errors.by_text
        );
        let now = clock::now();
        while let Some(at) = renewals.answered.pop() {
            bytes.clear();
            wire::lease_keep_alive(&mut bytes, renewals.leases[at]);
            renewals.started_ns[at] = now;
            fleet.send(at, streams[at], &bytes)?;
        }
    }
    Ok(())
}
