//! A disk in memory that forgets what was not synced.
//!
//! It follows the rules a real disk is allowed to follow, not those it usually follows: a crash
//! keeps any subset of the unsynced writes, each whole, cut at any byte, or in any subset of its
//! sectors; likewise any subset of the unsynced changes of names. All choices come from a seed.
//! Directories themselves are durable at once.

mod loss;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use self::loss::{apply, apply_name};
use super::{Disk, DiskFile};

const SECTOR_BYTES: usize = 512;
const OP_KINDS: usize = 10;

/// Operations that faults can be aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    Create,
    Open,
    Rename,
    Unlink,
    List,
    SyncDir,
    Write,
    Read,
    Sync,
    Allocate,
}

/// How a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Only the process ends: everything written so far is still there.
    Process,
    /// Power is lost: what was not synced may be lost wholly or in parts.
    Power,
    /// Power is lost and nothing that was not synced survives.
    PowerNothingKept,
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Extend { len: usize },
}

#[derive(Debug, Clone)]
enum NameChange {
    Add {
        path: PathBuf,
        inode: u64,
    },
    Move {
        from: PathBuf,
        to: PathBuf,
        inode: u64,
    },
    Remove {
        path: PathBuf,
    },
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
struct Fault {
    kind: OpKind,
    /// Operations of that kind still to succeed before this one fails.
    after: u64,
    error: io::ErrorKind,
}

#[derive(Debug, Clone)]
struct State {
    random: u64,
    /// Handles of an earlier epoch are dead.
    epoch: u64,
    next_inode: u64,
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    name_changes: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    operations: u64,
    counts: [u64; OP_KINDS],
    freeze_at: Option<u64>,
    faults: Vec<Fault>,
    capacity_bytes: Option<u64>,
    hold_syncs: bool,
}

/// See the module. Clones share the disk; [`MemDisk::fork`] copies it.
#[derive(Debug, Clone)]
pub struct MemDisk {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl MemDisk {
    /// An empty disk whose every choice follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: seed,
            epoch: 0,
            next_inode: 1,
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            dirs: BTreeSet::new(),
            operations: 0,
            counts: [0; OP_KINDS],
            freeze_at: None,
            faults: Vec::new(),
            capacity_bytes: None,
            hold_syncs: false,
        };
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    /// An independent copy of the disk as it is now, drawing from `seed`.
    pub fn fork(&self, seed: u64) -> Self {
        let mut state = self.shared.0.lock().clone();
        state.random = seed;
        Self {
            shared: Arc::new((Mutex::new(state), Condvar::new())),
        }
    }

    /// Ends all handles, applies the crash and clears all faults.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.shared.0.lock();
        state.epoch += 1;
        state.faults.clear();
        state.freeze_at = None;
        state.hold_syncs = false;
        match crash {
            Crash::Process => {}
            Crash::Power => state.lose(true),
            Crash::PowerNothingKept => state.lose(false),
        }
        self.shared.1.notify_all();
    }

    /// Operations so far: a scale for `freeze_at`.
    pub fn operations(&self) -> u64 {
        self.shared.0.lock().operations
    }

    /// Operations of one kind so far.
    pub fn count(&self, kind: OpKind) -> u64 {
        self.shared.0.lock().counts[kind as usize]
    }

    /// Operation number `operation` (from 0) takes partial effect and fails, and so does everything
    /// after it, until the next `crash`.
    pub fn freeze_at(&self, operation: u64) {
        self.shared.0.lock().freeze_at = Some(operation);
    }

    /// The `after`-th operation of `kind` from now (0 = the next) fails once with `error`.
    pub fn fail(&self, kind: OpKind, after: u64, error: io::ErrorKind) {
        self.shared
            .0
            .lock()
            .faults
            .push(Fault { kind, after, error });
    }

    /// Forgets faults that have not come true yet.
    pub fn clear_faults(&self) {
        self.shared.0.lock().faults.clear();
    }

    /// Room for file content; `None` = unlimited.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.shared.0.lock().capacity_bytes = bytes;
    }

    /// While held, syncs do not return: a stalled disk.
    pub fn hold_syncs(&self, hold: bool) {
        self.shared.0.lock().hold_syncs = hold;
        self.shared.1.notify_all();
    }

    /// All files, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared.0.lock().names.keys().cloned().collect()
    }

    /// The content of a file, if it exists.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.shared.0.lock();
        let inode = state.names.get(path)?;
        Some(state.inodes[inode].current.clone())
    }

    /// Damages a file: changes bytes behind everybody's back. False if it does not exist.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.shared.0.lock();
        let Some(inode) = state.names.get(path).copied() else {
            return false;
        };
        let inode = state.inodes.entry(inode).or_default();
        change(&mut inode.current);
        inode.durable = inode.current.clone();
        inode.pending.clear();
        true
    }

    /// Removes a file durably. False if it does not exist.
    pub fn remove(&self, path: &Path) -> bool {
        let mut state = self.shared.0.lock();
        state.durable_names.remove(path);
        state.names.remove(path).is_some()
    }

    fn enter(&self, kind: OpKind, epoch: Option<u64>) -> Result<Entered<'_>, io::Error> {
        let mut state = self.shared.0.lock();
        if epoch.is_some_and(|epoch| epoch != state.epoch) {
            return Err(io::Error::other("the machine went down"));
        }
        let operation = state.operations;
        state.operations += 1;
        state.counts[kind as usize] += 1;
        let mut failing = None;
        match state.freeze_at {
            Some(at) if operation > at => return Err(io::Error::other("power is lost")),
            Some(at) if operation == at => failing = Some(io::Error::other("power is lost")),
            _ => {}
        }
        if failing.is_none() {
            failing = state.due_fault(kind).map(io::Error::from);
        }
        Ok(Entered { state, failing })
    }
}

/// An operation that has begun; if `failing`, it may take partial effect but must report that.
struct Entered<'a> {
    state: parking_lot::MutexGuard<'a, State>,
    failing: Option<io::Error>,
}

impl Entered<'_> {
    /// For operations that either happen or do not.
    fn sound(self) -> io::Result<Self> {
        match self.failing {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl State {
    fn draw(&mut self, below: usize) -> usize {
        // splitmix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    fn due_fault(&mut self, kind: OpKind) -> Option<io::ErrorKind> {
        let mut due = None;
        self.faults.retain_mut(|fault| {
            if fault.kind != kind {
                return true;
            }
            if fault.after == 0 {
                due = due.or(Some(fault.error));
                return false;
            }
            fault.after -= 1;
            true
        });
        due
    }

    fn used_bytes(&self) -> u64 {
        self.names
            .values()
            .map(|inode| self.inodes[inode].current.len() as u64)
            .sum()
    }

    fn check_room(&self, inode: u64, len: usize) -> io::Result<()> {
        let grows = len.saturating_sub(self.inodes[&inode].current.len()) as u64;
        match self.capacity_bytes {
            Some(capacity) if grows > 0 && self.used_bytes() + grows > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        let inode = self.inodes.entry(inode).or_default();
        apply(&mut inode.current, &change);
        inode.pending.push(change);
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.name_changes.push(change);
    }
}

struct MemFile {
    disk: MemDisk,
    inode: u64,
    epoch: u64,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for MemDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.shared.0.lock().dirs.insert(dir.to_owned());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut entered = self.enter(OpKind::Create, None)?.sound()?;
        let state = &mut *entered.state;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.change_name(NameChange::Add {
            path: path.to_owned(),
            inode,
        });
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            inode,
            epoch: state.epoch,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let entered = self.enter(OpKind::Open, None)?.sound()?;
        let inode = *entered.state.names.get(path).ok_or_else(not_found)?;
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            inode,
            epoch: entered.state.epoch,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut entered = self.enter(OpKind::Rename, None)?;
        // Refused before it begins; any other failure may come after it happened.
        let refused = |error: &mut io::Error| error.kind() == io::ErrorKind::StorageFull;
        if let Some(error) = entered.failing.take_if(refused) {
            return Err(error);
        }
        let inode = *entered.state.names.get(from).ok_or_else(not_found)?;
        let change = NameChange::Move {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        };
        entered.state.change_name(change);
        entered.failing.map_or(Ok(()), Err)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut entered = self.enter(OpKind::Unlink, None)?;
        if !entered.state.names.contains_key(path) {
            return Err(not_found());
        }
        entered.state.change_name(NameChange::Remove {
            path: path.to_owned(),
        });
        entered.failing.map_or(Ok(()), Err)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entered = self.enter(OpKind::List, None)?.sound()?;
        let state = &entered.state;
        let inside = state.names.keys().chain(&state.dirs);
        let inside: BTreeSet<_> = inside
            .filter_map(|path| path.strip_prefix(dir).ok()?.iter().next()?.to_str())
            .collect();
        Ok(inside.into_iter().map(str::to_owned).collect())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut entered = self.enter(OpKind::Unlink, None)?.sound()?;
        let inside: Vec<_> = entered.state.names.keys().cloned().collect();
        for path in inside.into_iter().filter(|path| path.starts_with(dir)) {
            entered.state.change_name(NameChange::Remove { path });
        }
        entered.state.dirs.retain(|path| !path.starts_with(dir));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut entered = self.enter(OpKind::SyncDir, None)?.sound()?;
        let state = &mut *entered.state;
        for change in std::mem::take(&mut state.name_changes) {
            let path = match &change {
                NameChange::Add { path, .. } | NameChange::Remove { path } => path,
                NameChange::Move { to, .. } => to,
            };
            if path.parent() == Some(dir) {
                apply_name(&mut state.durable_names, &change);
            } else {
                state.name_changes.push(change);
            }
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn entropy(&self) -> u64 {
        self.shared.0.lock().draw(usize::MAX) as u64
    }
}

impl DiskFile for MemFile {
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut entered = self.disk.enter(OpKind::Write, Some(self.epoch))?;
        let mut data: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        let offset = offset as usize;
        entered.state.check_room(self.inode, offset + data.len())?;
        if entered.failing.is_some() {
            let kept = entered.state.draw(data.len() + 1);
            data.truncate(kept);
        }
        entered
            .state
            .change(self.inode, Change::Write { offset, data });
        entered.failing.map_or(Ok(()), Err)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let entered = self.disk.enter(OpKind::Read, Some(self.epoch))?.sound()?;
        let content = &entered.state.inodes[&self.inode].current;
        let from = content.get(offset as usize..).unwrap_or_default();
        let len = from.len().min(buf.len());
        buf[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut entered = self.disk.enter(OpKind::Sync, Some(self.epoch))?.sound()?;
        while entered.state.hold_syncs {
            self.disk.shared.1.wait(&mut entered.state);
            if entered.state.epoch != self.epoch {
                return Err(io::Error::other("the machine went down"));
            }
        }
        let inode = entered.state.inodes.entry(self.inode).or_default();
        for change in std::mem::take(&mut inode.pending) {
            apply(&mut inode.durable, &change);
        }
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut entered = self
            .disk
            .enter(OpKind::Allocate, Some(self.epoch))?
            .sound()?;
        entered.state.check_room(self.inode, len as usize)?;
        entered
            .state
            .change(self.inode, Change::Extend { len: len as usize });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let entered = self.disk.enter(OpKind::Read, Some(self.epoch))?.sound()?;
        Ok(entered.state.inodes[&self.inode].current.len() as u64)
    }
}
