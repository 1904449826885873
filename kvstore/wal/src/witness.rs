//! The durable-index record: what is known to be durable, kept apart from the log.
//!
//! Two slots in a small file. The record is written after each sync of the log and synced on its
//! own time. Between two syncs only one slot is written, and none while a sync runs, so that a crash
//! can tear only that one: the other still holds what was last synced.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::record::Checkpoint;
use crate::segments::{final_failure, is_full};
use crate::wire::{Reader, put_u64};

const SLOT_BYTES: u64 = 4096;
const SLOTS: u64 = 2;
const RECORD_BYTES_MAX: usize = 1024;
const MAGIC: u32 = 0x5749_544e;

/// What was durable when the record was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) wal_id: u64,
    /// Newest segment that held durable records, and their last batch.
    pub(crate) seq: u64,
    pub(crate) batch: u64,
    pub(crate) state: Checkpoint,
}

struct Slots {
    generation: u64,
    slot: u64,
    /// The slot was written since the last sync began.
    dirty: bool,
    syncing: bool,
    /// Newer than the slot because a sync is running.
    waiting: Option<Known>,
    scratch: Vec<u8>,
}

/// The open file.
pub(crate) struct Witness {
    file: Arc<dyn DiskFile>,
    slots: Mutex<Slots>,
    no_fsync: bool,
}

/// What was found at a witness' path.
pub(crate) enum Found {
    Absent,
    /// The file exists and neither slot is readable.
    Unreadable,
    Known {
        known: Box<Known>,
        generation: u64,
        slot: u64,
        /// The other slot holds something that is no record: torn by a crash, or damaged.
        other_torn: bool,
    },
}

/// Reads the file without changing it.
pub(crate) fn look(disk: &dyn Disk, path: &Path) -> io::Result<Found> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        file => file?,
    };
    let mut best = Found::Unreadable;
    let mut torn = false;
    for slot in 0..SLOTS {
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        let len = file.read_at(&mut bytes, slot * SLOT_BYTES)?;
        let Some((generation, known)) = decode(&bytes[..len]) else {
            torn |= len < bytes.len() || bytes.iter().any(|byte| *byte != 0);
            continue;
        };
        if !matches!(&best, Found::Known { generation: other, .. } if *other >= generation) {
            best = Found::Known {
                known: Box::new(known),
                generation,
                slot,
                other_torn: false,
            };
        }
    }
    if let Found::Known { other_torn, .. } = &mut best {
        *other_torn = torn;
    }
    Ok(best)
}

impl Witness {
    /// Opens the file at `path`, or creates it (appearing whole or not at all), with `known` as
    /// its durable content.
    pub(crate) fn start(
        disk: &dyn Disk,
        path: &Path,
        found: &Found,
        known: &Known,
        no_fsync: bool,
    ) -> io::Result<Self> {
        let (mut generation, mut slot) = (1, 0);
        let file = match found {
            Found::Known {
                generation: last,
                slot: used,
                ..
            } => {
                (generation, slot) = (last + 1, (used + 1) % SLOTS);
                let file = disk.open(path)?;
                // It may be newer in memory than on disk: that must not be the slot's only copy
                // while the other one is written.
                sync(&*file, no_fsync)?;
                file
            }
            Found::Absent | Found::Unreadable => {
                let temporary = path.with_extension("durable-new");
                match disk.unlink(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let file = disk.create(&temporary)?;
                file.allocate(SLOT_BYTES * SLOTS)?;
                file.write_at(&[IoSlice::new(&encode(known, 0))], SLOT_BYTES)?;
                sync(&*file, no_fsync)?;
                disk.rename(&temporary, path)?;
                file
            }
        };
        // Also a name that was found may not be durable: the process may have died right after
        // giving it.
        if let Some(parent) = path.parent().filter(|_| !no_fsync) {
            disk.sync_dir(parent)?;
        }
        let slots = Slots {
            generation,
            slot,
            dirty: false,
            syncing: false,
            waiting: None,
            scratch: Vec::with_capacity(RECORD_BYTES_MAX),
        };
        let witness = Self {
            file,
            slots: Mutex::new(slots),
            no_fsync,
        };
        witness.update(known)?;
        witness.sync()?;
        Ok(witness)
    }

    /// Writes what is now durable (into the page cache). True if this is the first write since the
    /// last sync.
    pub(crate) fn update(&self, known: &Known) -> io::Result<bool> {
        let mut slots = self.slots.lock();
        if slots.syncing {
            slots.waiting = Some(known.clone());
            return Ok(false);
        }
        behind_if_full(self.write(&mut slots, known))
    }

    fn write(&self, slots: &mut Slots, known: &Known) -> io::Result<bool> {
        let mut bytes = std::mem::take(&mut slots.scratch);
        encode_into(&mut bytes, known, slots.generation);
        let result = self
            .file
            .write_at(&[IoSlice::new(&bytes)], slots.slot * SLOT_BYTES);
        slots.scratch = bytes;
        result?;
        slots.generation += 1;
        Ok(!std::mem::replace(&mut slots.dirty, true))
    }

    /// Makes the last update durable. True if a newer one came meanwhile and is not.
    pub(crate) fn sync(&self) -> io::Result<bool> {
        {
            let mut slots = self.slots.lock();
            if !slots.dirty || slots.syncing {
                return Ok(slots.dirty);
            }
            slots.syncing = true;
        }
        let result = sync(&*self.file, self.no_fsync);
        let mut slots = self.slots.lock();
        slots.syncing = false;
        result?;
        slots.dirty = false;
        slots.slot = (slots.slot + 1) % SLOTS;
        if let Some(known) = slots.waiting.take() {
            behind_if_full(self.write(&mut slots, &known))?;
        }
        Ok(slots.dirty)
    }
}

fn sync(file: &dyn DiskFile, no_fsync: bool) -> io::Result<()> {
    if no_fsync {
        Ok(())
    } else {
        file.sync_data().map_err(final_failure)
    }
}

/// A record that finds no room (where a file system does not write in place) is left out: an older one
/// promises less, and the next batch writes a newer one.
fn behind_if_full(written: io::Result<bool>) -> io::Result<bool> {
    match written {
        Err(error) if is_full(&error) => Ok(false),
        other => other,
    }
}

fn encode(known: &Known, generation: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES_MAX);
    encode_into(&mut bytes, known, generation);
    bytes
}

fn encode_into(bytes: &mut Vec<u8>, known: &Known, generation: u64) {
    bytes.clear();
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    put_u64(bytes, generation);
    put_u64(bytes, known.wal_id);
    put_u64(bytes, known.seq);
    put_u64(bytes, known.batch);
    known.state.put(bytes);
    let len = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(bytes);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..8]);
    hasher.update(&bytes[12..]);
    hasher.finalize()
}

fn decode(bytes: &[u8]) -> Option<(u64, Known)> {
    let word = |at: usize| {
        bytes
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
    };
    let len = word(4)? as usize;
    if word(0)? != MAGIC || len < 12 {
        return None;
    }
    let bytes = bytes.get(..len)?;
    if checksum(bytes) != word(8)? {
        return None;
    }
    let mut rest = Reader(&bytes[12..]);
    let generation = rest.u64()?;
    let (wal_id, seq, batch) = (rest.u64()?, rest.u64()?, rest.u64()?);
    Some((
        generation,
        Known {
            wal_id,
            seq,
            batch,
            state: Checkpoint::read(&mut rest)?,
        },
    ))
}
