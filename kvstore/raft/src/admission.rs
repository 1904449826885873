//! What is refused before it costs anything: requests for which there is no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mainstay_engine::Engine;
use mainstay_mvcc::MvccError;
use mainstay_proto::etcdserverpb::{AlarmMember, AlarmType, RangeRequest};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::alarms::{AlarmCause, AlarmChange};
use crate::command::{Applied, Command, Decoded, decode, is_put_or_txn};
use crate::env::Env;
use crate::error::Error;
use crate::limits::{
    LOG_KEEP_BYTES, LOG_KEEP_SHARE, SPARE_BYTES_MAX, UNDECIDED_BYTES_MAX, UNDECIDED_SHARE,
};
use crate::node::{Inner, Node};
use crate::quota::{Charge, KEY_OVERHEAD_BYTES, Quota, txn_charge};
use crate::space::Thresholds;
use crate::state_machine::Reader;

/// How long a request that meets a full quota waits for history that is being dropped.
const RECLAIM_PATIENCE: Duration = Duration::from_secs(3);
/// How much of what is to be deleted is looked at together.
const REMOVAL_PIECE_KEYS: usize = 1000;
const REMOVAL_PIECE_BYTES: usize = 4 << 20;
/// What any change takes that adds no data.
pub(crate) const REMOVAL_BYTES_MIN: u64 = 4 << 10;

/// What a member knows about room.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) quota: Quota,
    /// One of this member's disks is nearly full.
    low: AtomicBool,
    /// Bytes that may be written until the disks are looked at again, without adding data, while it is low.
    spare: AtomicU64,
    /// How much work waits for room, and since when there was always some.
    held_up: Mutex<(usize, Option<Instant>)>,
    /// Bytes of proposals taken and not decided.
    undecided: AtomicUsize,
    undecided_max: usize,
    /// Bytes of the log that may be kept beside a snapshot.
    pub(crate) log_keep_bytes: u64,
    /// A change of this member's own alarm is being proposed.
    pub(crate) telling: AtomicBool,
}

/// A part of the bytes that may be undecided, given back when dropped.
pub(crate) struct Undecided {
    space: Arc<Space>,
    bytes: usize,
}

impl Drop for Undecided {
    fn drop(&mut self) {
        self.space
            .undecided
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Work that waits for room, as long as it lives.
pub(crate) struct HeldUp<'a>(&'a Space);

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        let mut held_up = self.0.held_up.lock();
        held_up.0 -= 1;
        if held_up.0 == 0 {
            held_up.1 = None;
        }
    }
}

impl Space {
    /// `disk_bytes` is the size of the smallest disk, if known.
    pub(crate) fn new(quota_flag: i64, disk_bytes: Option<u64>) -> Arc<Self> {
        let disk = disk_bytes.unwrap_or(u64::MAX);
        let share = Thresholds::of(disk).low / UNDECIDED_SHARE;
        Arc::new(Self {
            quota: Quota::new(quota_flag),
            low: AtomicBool::new(false),
            spare: AtomicU64::new(0),
            held_up: Mutex::new((0, None)),
            undecided: AtomicUsize::new(0),
            undecided_max: usize::try_from(share)
                .map_or(UNDECIDED_BYTES_MAX, |share| share.min(UNDECIDED_BYTES_MAX)),
            log_keep_bytes: LOG_KEEP_BYTES.min(disk / LOG_KEEP_SHARE),
            telling: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// `spare` is how many bytes may still be written at once, if a disk is nearly full.
    pub(crate) fn set_low(&self, spare: Option<u64>) {
        let low = spare.is_some();
        self.spare.store(spare.unwrap_or(0), Ordering::Relaxed);
        if self.low.swap(low, Ordering::Relaxed) != low {
            if low {
                tracing::warn!("a disk of this member is nearly full: new data is refused");
            } else {
                tracing::info!("there is enough room on this member's disks again");
            }
        }
    }

    /// Takes from what may be written while a disk is nearly full.
    pub(crate) fn take_spare(&self, bytes: u64) -> bool {
        let left = |spare: u64| spare.checked_sub(bytes);
        !self.is_low()
            || self
                .spare
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                .is_ok()
    }

    pub(crate) fn hold_up(&self) -> HeldUp<'_> {
        let mut held_up = self.held_up.lock();
        held_up.0 += 1;
        held_up.1.get_or_insert_with(Instant::now);
        drop(held_up);
        HeldUp(self)
    }

    /// For how long something has been waiting for room.
    pub(crate) fn held_up_for(&self) -> Option<Duration> {
        self.held_up.lock().1.map(|since| since.elapsed())
    }

    /// Takes a command on its way to the log. Only what adds data is ever refused.
    pub(crate) fn take(self: &Arc<Self>, command: &Bytes) -> Result<Undecided, Error> {
        let bytes = command.len();
        let before = self.undecided.fetch_add(bytes, Ordering::Relaxed);
        let taken = Undecided {
            space: Arc::clone(self),
            bytes,
        };
        if before > 0 && before + bytes > self.undecided_max && is_put_or_txn(command) {
            return Err(Error::TooManyRequests);
        }
        if self.is_low() && adds_data(command) {
            return Err(Error::NoSpace);
        }
        Ok(taken)
    }
}

fn adds_data(command: &Bytes) -> bool {
    match decode(command.clone()) {
        Ok((_, Decoded::Put(_) | Decoded::LeaseGrant { .. })) => true,
        Ok((_, Decoded::Txn(r))) => txn_charge(&r) > 0,
        _ => false,
    }
}

/// Bytes that deleting a range would write, at least a little; where it is very much, not counted to the end.
fn removed_bytes<T: Engine>(reader: &Reader<T>, range: &RangeRequest) -> Result<u64, MvccError> {
    let mut bytes = REMOVAL_BYTES_MIN;
    let mut pieces = reader.range_chunks(range)?;
    while let Some(piece) = pieces.next_chunk(REMOVAL_PIECE_KEYS, REMOVAL_PIECE_BYTES)? {
        for kv in piece.kvs {
            bytes += KEY_OVERHEAD_BYTES + (kv.key.len() + kv.value.len()) as u64;
        }
        if bytes > SPARE_BYTES_MAX {
            break;
        }
    }
    Ok(bytes)
}

impl<E: Env> Node<E> {
    /// Whether there is room for what a request would write. To be asked before [`Node::propose`], so that
    /// what must be refused costs no room in the log. Errors: no space.
    pub async fn admit(&self, charge: Charge) -> Result<(), Error> {
        let Charge { adds, removes } = charge;
        if adds > 0 {
            self.admit_data(adds).await?;
        }
        if !removes.is_empty() && self.inner.shared.space.is_low() {
            self.admit_removal(removes).await?;
        }
        Ok(())
    }

    /// What is deleted moves into history, which takes room until it is compacted. On a disk that is nearly
    /// full only as much of that is let in as leaves room for compacting.
    async fn admit_removal(&self, removes: Vec<RangeRequest>) -> Result<(), Error> {
        let reader = self.reader();
        let counted = self.inner.env.blocking(move || {
            removes
                .iter()
                .map(|range| removed_bytes(&reader, range))
                .sum::<Result<u64, _>>()
        });
        let bytes = counted.await.map_err(|e| Error::Fatal(e.to_string()))??;
        match self.inner.shared.space.take_spare(bytes) {
            true => Ok(()),
            false => Err(Error::NoSpace),
        }
    }

    async fn admit_data(&self, charge: u64) -> Result<(), Error> {
        let inner = &self.inner;
        let space = &inner.shared.space;
        if space.is_low() {
            return Err(Error::NoSpace);
        }
        if inner.forbidden_by_alarm() {
            // Perhaps it was withdrawn and this member has not heard of it.
            inner.read_index().await?;
            if inner.forbidden_by_alarm() {
                return Err(Error::NoSpace);
            }
        }
        if space.quota.charge(charge) {
            return Ok(());
        }
        inner.await_reclaim().await;
        if space.quota.charge(charge) {
            return Ok(());
        }
        tracing::warn!("the database has reached its quota: raising the alarm");
        let change = AlarmChange {
            active: true,
            member: self.member_id(),
            kind: AlarmType::Nospace,
            cause: AlarmCause::Lasting,
        };
        // The request is refused in any case.
        if let Err(e) = inner.propose(&Command::Alarm(change)).await {
            tracing::warn!("the alarm could not be raised: {e}");
        }
        Err(Error::NoSpace)
    }

    /// Active alarms, by type and member, as this member has applied them.
    #[must_use]
    pub fn alarms(&self) -> Vec<AlarmMember> {
        self.inner.shared.alarms.load().list()
    }

    /// Raises or withdraws an alarm; any member. Returns the alarm it was about, if there is or was one, and
    /// the store's revision.
    pub async fn change_alarm(
        &self,
        change: AlarmChange,
    ) -> Result<(Option<AlarmMember>, i64), Error> {
        if !change.active && change.kind == AlarmType::Nospace {
            // Room that is being made counts, or the next write would raise the alarm again.
            self.settle_space().await;
        }
        match self.propose(Command::Alarm(change)).await? {
            Applied::Alarm { named, revision } => Ok((named, revision)),
            _ => Ok((None, 0)),
        }
    }

    /// Waits, within limits, for history that is being dropped and measures the database again.
    pub async fn settle_space(&self) {
        self.inner.await_reclaim().await;
    }
}

impl<E: Env> Inner<E> {
    fn forbidden_by_alarm(&self) -> bool {
        let alarms = self.shared.alarms.load();
        alarms.any(AlarmType::Nospace) && !alarms.any(AlarmType::Corrupt)
    }

    async fn await_reclaim(&self) {
        let reclaimed = self.shared.reclaimer.idle();
        if timeout(RECLAIM_PATIENCE, reclaimed).await.is_err() {
            tracing::debug!("history is still being dropped");
        }
        self.measure().await;
    }

    /// Measures the database for the quota.
    pub(crate) async fn measure(&self) {
        if !self.shared.space.quota.is_set() {
            return;
        }
        let engine = self.shared.engine.load_full();
        if let Ok(size) = self.env.blocking(move || engine.size()).await {
            self.shared.space.quota.measure(size.total_bytes);
        }
    }
}
