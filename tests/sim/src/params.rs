//! What one seed chooses before anything runs.

use crate::rng::Rng;

/// The parameters of a run.
#[derive(Clone, Debug)]
pub(crate) struct Params {
    pub(crate) members: usize,
    pub(crate) clients: usize,
    pub(crate) keys: u64,
    /// Simulated microseconds of faults and load.
    pub(crate) safety_us: u64,
    pub(crate) heartbeat_ms: u64,
    pub(crate) election_ms: u64,
    pub(crate) snapshot_count: u64,
    pub(crate) segment_bytes: u64,
    /// Memory for recent entries of the log: small ones make followers be served from the disk.
    pub(crate) tail_bytes: usize,
    /// Pause between two faults, at most.
    pub(crate) fault_pause_us: u64,
    /// Pause of a client between two operations, at most.
    pub(crate) think_us: u64,
    /// One-way latency of the network, at most.
    pub(crate) latency_us: u64,
    /// Latency of a sync, at most.
    pub(crate) sync_us: u64,
    /// The engine flushes by itself after one of so many batches.
    pub(crate) flush_one_in: u64,
    pub(crate) clocks_drift: bool,
    pub(crate) membership: bool,
    pub(crate) disk_faults: bool,
    /// How often a member reads all it has on disk.
    pub(crate) scrub_ms: Option<u64>,
    /// How often the leader compares the data of all members.
    pub(crate) compare_ms: Option<u64>,
}

impl Params {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let election_ms = rng.pick(&[300, 500, 1000]);
        let members = rng.pick(&[1, 3, 3, 3, 3, 5]);
        Self {
            members,
            clients: rng.range(2, 8) as usize,
            keys: rng.range(2, 16),
            safety_us: rng.range(5, 25) * 1_000_000,
            heartbeat_ms: election_ms / 10,
            election_ms,
            snapshot_count: rng.pick(&[5, 20, 50, 200, 100_000]),
            segment_bytes: rng.pick(&[4 << 10, 16 << 10, 256 << 10]),
            tail_bytes: rng.pick(&[0, 2 << 10, 1 << 20]),
            fault_pause_us: rng.pick(&[300_000, 1_000_000, 3_000_000]),
            think_us: rng.pick(&[1_000, 10_000, 100_000]),
            latency_us: rng.pick(&[500, 2_000, 20_000]),
            sync_us: rng.pick(&[0, 2_000, 10_000]),
            flush_one_in: rng.pick(&[3, 20, 1000]),
            clocks_drift: rng.one_in(3),
            membership: rng.one_in(3),
            disk_faults: rng.one_in(2),
            scrub_ms: rng.pick(&[None, Some(3_000)]),
            compare_ms: rng.pick(&[None, Some(2_000)]),
        }
    }
}
