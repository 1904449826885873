//! One member: its machine, its process, its clock.

use std::path::PathBuf;
use std::sync::Arc;

use mainstay_raft::{InitialMember, Node, NodeConfig, StopReason};
use mainstay_wal::disk::{Crash, MemDisk};
use mainstay_wal::{Driver, WalError};
use mainstay_watch::{Shard, ShardSeed};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Duration, Instant, advance, sleep_until};

use crate::machine::{Down, Engines, LogLook, Net, SimEnv, SimEnvParts};
use crate::params::Params;
use crate::rng::Rng;

pub(crate) type SimNode = Node<SimEnv>;

/// How the process ended by itself.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    Refused(String),
    Stopped(StopReason),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused to start: {why}"),
            Self::Stopped(why) => write!(f, "stopped: {why:?}"),
        }
    }
}

#[derive(Default)]
struct Slot {
    started: Option<(SimNode, Vec<ShardSeed>)>,
    exit: Option<Exit>,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) runtime: Runtime,
    env: SimEnv,
    slot: Arc<Mutex<Slot>>,
    base: Instant,
    /// Microseconds of this process's clock since its start.
    pub(crate) clock_us: f64,
    pub(crate) node: Option<SimNode>,
    pub(crate) shard: Option<Shard>,
    driver: Option<Driver>,
    pub(crate) log: Option<LogLook>,
    sync_due: Option<u64>,
    keep_due: u64,
    /// Where the newest snapshot ends.
    pub(crate) snapshot: u64,
    /// Counts processes of this host.
    pub(crate) number: u64,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

/// A host; its machine outlives its processes.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) index: usize,
    pub(crate) id: u64,
    pub(crate) disk: MemDisk,
    engines: Engines,
    pub(crate) observed: Arc<Mutex<Vec<(u64, u64)>>>,
    net: Net,
    rng: Rng,
    pub(crate) process: Option<Process>,
    processes: u64,
    /// Speed of its clock; 1 is right.
    pub(crate) rate: f64,
    /// Neither runs nor sends until then.
    pub(crate) paused_until: Option<u64>,
    /// Whether its clock goes on while it is paused.
    pub(crate) pause_counts: bool,
    pub(crate) sync_us: u64,
    /// Syncs do not return until then.
    pub(crate) stalled_until: u64,
    pub(crate) joining: bool,
    pub(crate) members: Vec<InitialMember>,
}

pub(crate) fn peer_url(index: usize) -> String {
    format!("http://m{index}:2380")
}

impl Host {
    pub(crate) fn new(index: usize, id: u64, net: Net, rng: &mut Rng, params: &Params) -> Self {
        net.add_host();
        Self {
            index,
            id,
            disk: MemDisk::new(rng.next()),
            engines: Engines::default(),
            observed: Arc::default(),
            net,
            rng: rng.fork(),
            process: None,
            processes: 0,
            rate: 1.0,
            paused_until: None,
            pause_counts: false,
            sync_us: params.sync_us,
            stalled_until: 0,
            joining: false,
            members: Vec::new(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Databases that came as snapshots.
    pub(crate) fn snapshots_received(&self) -> u64 {
        self.engines.received()
    }

    pub(crate) fn node(&self) -> Option<&SimNode> {
        self.process.as_ref()?.node.as_ref()
    }

    fn config(&self, params: &Params, cluster_id: u64) -> NodeConfig {
        NodeConfig {
            name: format!("m{}", self.index),
            data_dir: PathBuf::from("data"),
            wal_dir: None,
            member_id: self.id,
            cluster_id,
            cluster_token: String::from("sim"),
            initial_members: self.members.clone(),
            join_existing: self.joining,
            advertise_client_urls: vec![format!("http://m{}:2379", self.index)],
            heartbeat_ms: params.heartbeat_ms,
            election_ms: params.election_ms,
            pre_vote: true,
            max_request_bytes: 1_572_864,
            quota_bytes: 2 << 30,
            snapshot_count: params.snapshot_count,
            max_learners: 1,
            watch_shards: 1,
            scrub_interval: params.scrub_ms.map(Duration::from_millis),
            compare_interval: params.compare_ms.map(Duration::from_millis),
            unsafe_no_fsync: false,
        }
    }

    /// Starts the process.
    pub(crate) fn start(&mut self, params: &Params, cluster_id: u64) -> Result<(), std::io::Error> {
        self.net.start_host(self.index);
        let env = SimEnv::new(SimEnvParts {
            host: self.index,
            disk: self.disk.clone(),
            engines: self.engines.clone(),
            observed: Arc::clone(&self.observed),
            net: self.net.clone(),
            rng: self.rng.fork(),
            flush_one_in: params.flush_one_in,
            segment_bytes: params.segment_bytes,
            tail_bytes: params.tail_bytes,
        });
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let base = runtime.block_on(async { Instant::now() });
        let slot = Arc::new(Mutex::new(Slot::default()));
        let config = self.config(params, cluster_id);
        runtime.spawn({
            let (slot, env) = (Arc::clone(&slot), env.clone());
            async move {
                match SimNode::start(env, config).await {
                    Ok((node, seeds)) => {
                        slot.lock().started = Some((node.clone(), seeds));
                        let reason = node.stopped().await;
                        slot.lock().exit = Some(Exit::Stopped(reason));
                    }
                    Err(e) => slot.lock().exit = Some(Exit::Refused(e.to_string())),
                }
            }
        });
        self.processes += 1;
        self.process = Some(Process {
            runtime,
            env,
            slot,
            base,
            clock_us: 0.0,
            node: None,
            shard: None,
            driver: None,
            log: None,
            sync_due: None,
            keep_due: 0,
            snapshot: 0,
            number: self.processes,
        });
        Ok(())
    }

    /// Lets the host go on by `step_us` of true time, which ends at `now`.
    pub(crate) fn step(&mut self, now: u64, step_us: u64) -> Option<()> {
        let rate = self.rate;
        let mut jump_us = 0.0;
        if let Some(until) = self.paused_until {
            let process = self.process.as_mut()?;
            if now < until {
                if self.pause_counts {
                    process.clock_us += step_us as f64 * rate;
                }
                return None;
            }
            self.paused_until = None;
            let clock = process.base + Duration::from_micros(process.clock_us as u64);
            let behind = process
                .runtime
                .block_on(async { clock.saturating_duration_since(Instant::now()) });
            jump_us = behind.as_micros() as f64;
        }
        let process = self.process.as_mut()?;
        process.clock_us += step_us as f64 * rate;
        let target = process.base + Duration::from_micros(process.clock_us as u64);
        process.runtime.block_on(async {
            if jump_us > 0.0 {
                // All timers that were missed are late at once.
                advance(Duration::from_micros(jump_us as u64)).await;
            }
            sleep_until(target).await;
        });
        process.take_started();
        Some(())
    }

    /// Lets the disk go on. Returns how the process ended if it did.
    pub(crate) fn step_disk(&mut self, now: u64) -> Option<Exit> {
        let process = self.process.as_mut()?;
        if self.paused_until.is_none() {
            let latency = self.rng.range(self.sync_us / 4, self.sync_us);
            process.drive_log(now, latency, self.stalled_until);
        }
        process.slot.lock().exit.take()
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self, how: Crash) {
        let Some(process) = self.process.take() else {
            return;
        };
        process.env.alive().end();
        let down = match how {
            Crash::Process => Down::Process,
            _ => Down::Machine,
        };
        self.net.stop_host(self.index, down);
        self.disk.crash(how);
        self.engines.crash();
        self.observed.lock().clear();
        self.paused_until = None;
        drop(process);
    }
}

impl Process {
    fn take_started(&mut self) {
        if self.driver.is_none()
            && let Some((driver, look)) = self.env.take_log()
        {
            self.driver = Some(driver);
            self.log = Some(look);
        }
        if self.node.is_none()
            && let Some((node, seeds)) = self.slot.lock().started.take()
        {
            self.node = Some(node);
            self.shard = seeds.into_iter().next().map(|seed| seed.start(|| {}));
        }
    }

    fn drive_log(&mut self, now: u64, latency: u64, stalled_until: u64) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        let due = *self.sync_due.get_or_insert(now + latency);
        if now >= due.max(stalled_until) {
            self.sync_due = None;
            match driver.step() {
                // Failures are reported through the log's own channel, which ends the member.
                Ok(_) | Err(WalError::Full) => {}
                Err(_) => self.driver = None,
            }
        }
        if now >= self.keep_due.max(stalled_until) {
            self.keep_due = now + 100_000;
            if let Some(driver) = &mut self.driver
                && driver.keep().is_err()
            {
                self.driver = None;
            }
        }
    }

    /// The process's clock in milliseconds.
    pub(crate) fn clock_ms(&self) -> u64 {
        (self.clock_us / 1000.0) as u64
    }
}
