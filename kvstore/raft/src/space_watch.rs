//! The watch over the member's disks: raises and withdraws its alarm, keeps the reserve, shrinks the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_engine::Engine;
use mainstay_proto::etcdserverpb::AlarmType;
use mainstay_wal::Disk;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, sleep};

use crate::alarms::{AlarmCause, AlarmChange};
use crate::command::Command;
use crate::config::NodeConfig;
use crate::env::Env;
use crate::limits::{ROOM_TICK, ROOM_TICK_LOW, SHRINK_INTERVAL};
use crate::node::Inner;
use crate::space::{Gauge, Room, Step, Thresholds};

/// Pause after a reserve could not be built.
const BUILD_PAUSE: Duration = Duration::from_secs(10);

/// A file system that this member writes to, and the file that reserves room on it.
#[derive(Debug)]
struct Volume {
    dir: PathBuf,
    ballast: PathBuf,
    gauge: Gauge,
    /// Not to be built before.
    build_at: Option<Instant>,
}

/// All of them. Nothing is watched where the environment knows nothing of room.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    list: Vec<Volume>,
}

impl Volumes {
    /// The file systems of the data and of the log, which must exist. Gives reserves up at once where room
    /// is so short that opening might fail.
    pub(crate) fn find<E: Env>(env: &E, member_dir: &Path, wal_dir: &Path) -> io::Result<Self> {
        let mut volumes = Self::default();
        let mut devices = Vec::new();
        let beside_log = wal_dir.with_extension("ballast");
        for (dir, ballast) in [
            (member_dir, member_dir.join("ballast")),
            (wal_dir, beside_log),
        ] {
            let Some(room) = env.room(dir)? else {
                continue;
            };
            if devices.contains(&room.device) {
                continue;
            }
            devices.push(room.device);
            let disk = env.disk();
            let mut volume = Volume {
                dir: dir.to_owned(),
                gauge: Gauge {
                    ballast: ballast_bytes(&**disk, &ballast)?,
                    ..Gauge::default()
                },
                ballast,
                build_at: None,
            };
            if volume.gauge.read(&room, false) == Step::Release {
                volume.release(&**disk)?;
            }
            volumes.list.push(volume);
        }
        Ok(volumes)
    }

    /// The smallest disk's size in bytes.
    pub(crate) fn smallest<E: Env>(&self, env: &E) -> Option<u64> {
        let total = |volume: &Volume| Some(env.room(&volume.dir).ok()??.total_bytes);
        self.list.iter().filter_map(total).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Looks at all of them. `held_up`: work waits for room. Returns, if one is nearly full, how many bytes
    /// may still be written there at once.
    fn read<E: Env>(&mut self, env: &E, held_up: bool) -> Option<u64> {
        for volume in &mut self.list {
            match env.room(&volume.dir) {
                Ok(Some(room)) => volume.act(&**env.disk(), &room, held_up),
                Ok(None) => {}
                Err(e) => tracing::warn!("asking for the room in {:?}: {e}", volume.dir),
            }
        }
        let low = self.list.iter().filter(|volume| volume.gauge.low);
        low.map(|volume| volume.gauge.spare).min()
    }
}

fn ballast_bytes(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    match disk.open(path) {
        Ok(file) => file.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

impl Volume {
    fn act(&mut self, disk: &dyn Disk, room: &Room, held_up: bool) {
        let done = match self.gauge.read(room, held_up) {
            Step::Nothing => Ok(()),
            Step::Release => {
                tracing::warn!(free_bytes = room.free_bytes, "giving up the reserve");
                self.release(disk)
            }
            Step::Build if self.build_at.is_some_and(|at| Instant::now() < at) => Ok(()),
            Step::Build => self.build(disk, Thresholds::of(room.total_bytes).ballast),
        };
        if let Err(e) = done {
            tracing::warn!(path = %self.ballast.display(), "the reserve of disk space: {e}");
        }
    }

    fn release(&mut self, disk: &dyn Disk) -> io::Result<()> {
        match disk.unlink(&self.ballast) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => {
                self.gauge.ballast = 0;
                Ok(())
            }
        }
    }

    fn build(&mut self, disk: &dyn Disk, bytes: u64) -> io::Result<()> {
        // Not synced: should it vanish with the power, it is built again.
        let built = disk
            .create(&self.ballast)
            .and_then(|file| file.allocate(bytes));
        match built {
            Ok(()) => self.gauge.ballast = bytes,
            Err(_) => {
                self.build_at = Some(Instant::now() + BUILD_PAUSE);
                self.release(disk)?;
            }
        }
        built
    }
}

/// The folders that a member writes to.
pub(crate) fn folders(config: &NodeConfig) -> (PathBuf, PathBuf) {
    let member_dir = config.data_dir.join("member");
    let wal_dir = config.wal_dir.clone();
    let wal_dir = wal_dir.unwrap_or_else(|| member_dir.join("wal"));
    (member_dir, wal_dir)
}

impl<E: Env> Inner<E> {
    /// Watches the room on this member's disks and the size of its database.
    pub(crate) async fn run_space_watch(self: Arc<Self>, mut volumes: Volumes) {
        let space = &self.shared.space;
        if volumes.is_empty() && !space.quota.is_set() {
            return;
        }
        let mut shrink_at = Instant::now();
        let mut shrunk = None;
        loop {
            self.measure().await;
            let held_up = space.held_up_for().is_some() || self.wal.stats().full;
            let env = self.env.clone();
            // A file system that stands still keeps only this watch waiting.
            let read = self.env.blocking(move || {
                let low = volumes.read(&env, held_up);
                (volumes, low)
            });
            let Ok((back, low)) = read.await else {
                return;
            };
            volumes = back;
            space.set_low(low);
            let low = low.is_some();
            self.tell_of_disk(low);
            if low && Instant::now() >= shrink_at {
                shrink_at = Instant::now() + SHRINK_INTERVAL;
                self.shrink(&mut shrunk).await;
            }
            sleep(if low { ROOM_TICK_LOW } else { ROOM_TICK }).await;
        }
    }

    /// Raises this member's alarm or withdraws the one that its disk raised, one attempt at a time.
    fn tell_of_disk(self: &Arc<Self>, low: bool) {
        let me = self.member_id();
        let cause = self.shared.alarms.load().cause(AlarmType::Nospace, me);
        let due = match cause {
            None => low,
            Some(AlarmCause::Disk) => !low,
            Some(AlarmCause::Lasting) => false,
        };
        let space = &self.shared.space;
        if !due || space.telling.swap(true, Ordering::AcqRel) {
            return;
        }
        let change = AlarmChange {
            active: low,
            member: me,
            kind: AlarmType::Nospace,
            cause: AlarmCause::Disk,
        };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(e) = this.propose(&Command::Alarm(change)).await {
                tracing::debug!("telling the cluster about this member's disk: {e}");
            }
            this.shared.space.telling.store(false, Ordering::Release);
        });
    }

    /// Gives back what can be given back: the log below a snapshot, and tables that only an old snapshot
    /// still holds, whether something was applied since then or tables were merged. `seen` is the state that
    /// the last snapshot was asked for.
    async fn shrink(&self, seen: &mut Option<(u64, u64)>) {
        let engine = self.shared.engine.load_full();
        let Ok(size) = self.env.blocking(move || engine.size()).await else {
            return;
        };
        let now = (*self.shared.applied.borrow(), size.total_bytes);
        if seen.replace(now) != Some(now)
            && let Err(e) = self.raft.trigger().snapshot().await
        {
            self.fatal(&e);
        }
        self.purge_log(0).await;
    }

    /// Drops what a snapshot covers from the log, but for the newest `keep_bytes`.
    pub(crate) async fn purge_log(&self, keep_bytes: u64) {
        let upto = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let covered = metrics.snapshot.as_ref().map_or(0, |id| id.index);
            let purged = metrics.purged.as_ref().map_or(0, |id| id.index);
            let kept = self.wal.index_within(keep_bytes).unwrap_or(0);
            Some(covered.min(kept.saturating_sub(1))).filter(|upto| *upto > purged)
        };
        if let Some(upto) = upto
            && let Err(e) = self.raft.trigger().purge_log(upto).await
        {
            self.fatal(&e);
        }
    }
}
