//! Small files that show what a disk does.

use crate::error::{Error, Result};
use crate::limits::{POLL_INTERVAL, SPACE_DEADLINE};
use crate::proof::Proof;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One write of a probe.
const PROBE_BYTES: usize = 4_096;
/// A filler is extended in steps of this size, then of smaller ones.
const FILL_STEP_BYTES: u64 = 64 << 20;

/// The probe files of one mounted disk.
#[derive(Debug)]
pub(super) struct Probe<'a> {
    mount: &'a Path,
}

/// Which markers survived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) synced: bool,
    pub(super) unsynced: bool,
}

impl<'a> Probe<'a> {
    pub(super) fn new(mount: &'a Path) -> Self {
        Self { mount }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.mount.join(".probe").join(name)
    }

    /// Writes and syncs the marker of a mount.
    ///
    /// This happens at mount time and not at the cut, because syncing anything commits the journal, and would save
    /// others' unsynced changes from the cut.
    pub(super) fn plant(&self, epoch: u64) -> Result<()> {
        let plant = || {
            let folder = self.mount.join(".probe");
            match fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut file = File::create(self.path("synced"))?;
            file.write_all(marker(epoch).as_bytes())?;
            file.sync_all()?;
            File::open(&folder)?.sync_all()?;
            File::open(self.mount)?.sync_all()
        };
        plant().map_err(Error::io(format!(
            "plant a marker on {}",
            self.mount.display()
        )))
    }

    /// Writes a marker and leaves it in the page cache.
    pub(super) fn leave_unsynced(&self, epoch: u64) -> Result<()> {
        fs::write(self.path("unsynced"), marker(epoch)).map_err(Error::io(format!(
            "write a marker on {}",
            self.mount.display()
        )))
    }

    /// Looks for both markers, and removes the second.
    pub(super) fn found(&self, epoch: u64) -> Result<Found> {
        let is = |name| fs::read_to_string(self.path(name)).is_ok_and(|text| text == marker(epoch));
        let found = Found {
            synced: is("synced"),
            unsynced: is("unsynced"),
        };
        match fs::remove_file(self.path("unsynced")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove a marker")(error))
            }
            _ => Ok(found),
        }
    }

    /// Writes one block and syncs it.
    pub(super) fn write_and_sync(&self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path(name))?;
        file.write_all_at(&[0x5a; PROBE_BYTES], 0)?;
        file.sync_data()
    }

    pub(super) fn fsync_time(&self) -> Result<Duration> {
        let start = Instant::now();
        self.write_and_sync("timed")
            .map_err(Error::io(format!("probe {}", self.mount.display())))?;
        Ok(start.elapsed())
    }

    /// What a write and sync meets; none if it succeeds.
    pub(super) fn errno(&self) -> Option<Errno> {
        let error = self.write_and_sync("failing").err()?;
        Some(
            error
                .raw_os_error()
                .map_or(Errno::IO, Errno::from_raw_os_error),
        )
    }

    /// Takes all space but `spare` bytes.
    pub(super) fn fill(&self, spare: u64) -> Result<Proof> {
        let doing = || format!("fill {}", self.mount.display());
        let path = self.path("filler");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io(doing()))?;
        let taken = fill(&file, self.mount, spare).map_err(Error::sys(doing()))?;
        if spare > 0 {
            let free = free(self.mount).map_err(Error::sys(doing()))?;
            return Ok(Proof::when(
                free <= spare.saturating_mul(2),
                format!("a filler of {taken} bytes leaves {free} free"),
            ));
        }
        // What others have deleted becomes free a little later; then the filler takes that, too.
        let start = Instant::now();
        let mut taken = taken;
        loop {
            match fs::write(self.path("refused"), [0x5a; PROBE_BYTES]) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    return Ok(Proof::acted(format!(
                        "a filler of {taken} bytes; a probe write of {PROBE_BYTES} bytes met ENOSPC"
                    )));
                }
                Err(error) => return Err(Error::io(doing())(error)),
                Ok(()) if start.elapsed() > SPACE_DEADLINE => {
                    return Err(Error::NotActing(format!(
                        "a probe write succeeds although a filler of {taken} bytes took all space"
                    )));
                }
                Ok(()) => taken = fill(&file, self.mount, 0).map_err(Error::sys(doing()))?,
            }
        }
    }

    pub(super) fn release(&self) -> Result<Proof> {
        let doing = || format!("release {}", self.mount.display());
        fs::remove_file(self.path("filler")).map_err(Error::io(doing()))?;
        // The blocks of a deleted file are free once the deletion is committed.
        let folder = File::open(self.mount.join(".probe")).map_err(Error::io(doing()))?;
        folder.sync_all().map_err(Error::io(doing()))?;
        let start = Instant::now();
        while let Err(error) = self.write_and_sync("refused") {
            let late = start.elapsed() > SPACE_DEADLINE;
            if late || error.kind() != io::ErrorKind::StorageFull {
                return Err(Error::io(doing())(error));
            }
            sleep(POLL_INTERVAL);
        }
        let free = free(self.mount).map_err(Error::sys(doing()))?;
        Ok(Proof::acted(format!(
            "{free} bytes are free, and a probe write succeeds"
        )))
    }
}

fn marker(epoch: u64) -> String {
    // As long as a block: small files could be kept inside the inode.
    format!("marker {epoch} ").repeat(PROBE_BYTES / 8)
}

fn free(mount: &Path) -> rustix::io::Result<u64> {
    let stat = rustix::fs::statvfs(mount)?;
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Extends `file` until only `spare` bytes are free. Returns its length.
fn fill(file: &File, mount: &Path, spare: u64) -> rustix::io::Result<u64> {
    let mut length = rustix::fs::fstat(file)?.st_size.unsigned_abs();
    let mut step = FILL_STEP_BYTES;
    loop {
        let room = free(mount)?.saturating_sub(spare);
        if spare > 0 && room < PROBE_BYTES as u64 {
            return Ok(length);
        }
        let want = if spare > 0 { step.min(room) } else { step };
        match fallocate(file, FallocateFlags::empty(), length, want) {
            Ok(()) => length += want,
            // What part of it did fit shows in the length.
            Err(Errno::NOSPC) if step > PROBE_BYTES as u64 => {
                length = rustix::fs::fstat(file)?.st_size.unsigned_abs().max(length);
                step /= 4;
            }
            Err(Errno::NOSPC) => return Ok(length),
            Err(errno) => return Err(errno),
        }
    }
}
