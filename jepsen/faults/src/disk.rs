//! Disks of their own for members: ext4 images that can lose power, fill up, become slow, stand still and fail.
//!
//! A [`Kind::Plain`] disk is an image file in a loop device. A [`Kind::Daemon`] disk has QEMU's storage daemon in
//! between, which can throttle and fail requests while the file system is mounted:
//!
//! ```text
//! plain    ext4 → loop → image
//! daemon   ext4 → loop → FUSE export → throttle (→ blkdebug) → image
//! ```
//!
//! A **power cut** is the file system's shutdown ioctl without a flush of its log: from then on nothing reaches the disk,
//! and what was not synced before is gone after mounting again. It does not model a drive's own volatile cache or
//! torn sectors; and what the kernel wrote back by itself, 5 seconds or more after it was written, survives as it would in
//! life.
//!
//! Processes that use a disk must have ended before it is [restored](Disk::restore), [revived](Disk::revive) or
//! dropped. Every fault writes into `.probe` at the root of the disk to prove itself; a member's data belongs
//! into [`Disk::data`].

mod daemon;
mod faulty;
mod mounts;
mod power;
mod probe;

pub use faulty::Throttle;
pub(crate) use mounts::sweep;
pub use power::power_cut;

use crate::command;
use crate::error::{Error, Result};
use crate::limits::{DISK_BYTES_MAX, DISK_BYTES_MIN};
use crate::proof::Proof;
use crate::run::Run;
use daemon::Daemon;
use probe::Probe;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What lies between the file system and the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: power cuts and full disks. Needs [`crate::Need::LoopDisks`].
    Plain,
    /// The block daemon: also slow, stalled and failing disks, at about the same speed otherwise. Needs
    /// [`crate::Need::BlockDaemon`].
    Daemon,
}

/// A mounted disk. Unmounted and deleted when it is dropped.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    mount: PathBuf,
    daemon: Option<Daemon>,
    state: State,
    /// Counts mounts and cuts, so that every marker is a new one.
    epoch: u64,
    // The folder lies in the run's.
    _run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Mounted,
    /// Power is off; still mounted, but nothing gets through.
    Cut,
    Unmounted,
}

impl Disk {
    /// Makes and mounts an empty disk of `bytes` ([`DISK_BYTES_MIN`] to [`DISK_BYTES_MAX`]; the image is sparse). The
    /// name is a plain file name, unique in its run.
    pub fn create(run: &Run, name: &str, bytes: u64, kind: Kind) -> Result<Self> {
        if !(DISK_BYTES_MIN..=DISK_BYTES_MAX).contains(&bytes) {
            return Err(Error::Misuse(format!("a disk of {bytes} bytes")));
        }
        if name.is_empty() || name.contains(['/', '.']) {
            return Err(Error::Misuse(format!("{name:?} is no name for a disk")));
        }
        let dir = run.dir().join(format!("disk-{name}"));
        let mount = dir.join("mount");
        let doing = || format!("make a disk in {}", dir.display());
        fs::create_dir(&dir).map_err(Error::io(doing()))?;
        fs::create_dir(&mount).map_err(Error::io(doing()))?;
        let image = dir.join("image");
        File::create(&image)
            .and_then(|f| f.set_len(bytes))
            .map_err(Error::io(doing()))?;
        // No blocks reserved for root: full means full. Made whole at once: no background work while it is used.
        let options = [
            "-q",
            "-m",
            "0",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
        ];
        let image = image.as_os_str();
        command::run(
            "mkfs.ext4",
            options.iter().map(AsRef::as_ref).chain([image]),
        )?;
        let mut disk = Self {
            dir,
            mount,
            daemon: None,
            state: State::Unmounted,
            epoch: 0,
            _run: run.clone(),
        };
        if kind == Kind::Daemon {
            disk.daemon = Some(Daemon::start(&disk.dir)?);
        }
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Where a member's data directory belongs. Does not exist until the member makes it.
    pub fn data(&self) -> PathBuf {
        self.mount.join("data")
    }

    /// The image, for damage below the file system; to be touched while the disk is unmounted.
    pub fn image(&self) -> PathBuf {
        self.dir.join("image")
    }

    /// Unmounts it in an orderly way. Fails while files are open.
    pub fn unmount(&mut self) -> Result<()> {
        if self.state != State::Unmounted {
            mounts::unmount(&self.mount)?;
            self.state = State::Unmounted;
        }
        Ok(())
    }

    /// Mounts it again. Nothing happens if it is mounted.
    pub fn mount(&mut self) -> Result<()> {
        if self.state == State::Unmounted {
            self.attach()?;
            self.settle()?;
        }
        Ok(())
    }

    /// Only the mount.
    fn attach(&mut self) -> Result<()> {
        let device = self
            .daemon
            .as_ref()
            .map_or_else(|| self.image(), |d| d.export().into());
        mounts::mount(&device, &self.mount)?;
        self.state = State::Mounted;
        Ok(())
    }

    /// Prepares a mounted disk for the next cut.
    fn settle(&mut self) -> Result<()> {
        self.epoch += 1;
        self.probe().plant(self.epoch)
    }

    /// How long one small write and fsync takes now.
    pub fn fsync_time(&self) -> Result<Duration> {
        self.probe().fsync_time()
    }

    /// Leaves only `spare` bytes free (0: none). With 0 the proof is a probe write that meets ENOSPC.
    pub fn fill(&self, spare: u64) -> Result<Proof> {
        self.mounted()?;
        self.probe().fill(spare)
    }

    /// Frees what [`Disk::fill`] took. The proof is a probe write that succeeds.
    pub fn release(&self) -> Result<Proof> {
        self.mounted()?;
        self.probe().release()
    }

    fn probe(&self) -> Probe<'_> {
        Probe::new(&self.mount)
    }

    fn mounted(&self) -> Result<()> {
        if self.state == State::Mounted {
            return Ok(());
        }
        Err(Error::Misuse(format!(
            "{} is {:?}",
            self.mount.display(),
            self.state
        )))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(daemon) = &self.daemon {
            // A stopped daemon would let nobody unmount.
            daemon.wake();
        }
        if let Err(error) = self.unmount() {
            tracing::warn!("{error}; detaching instead");
            mounts::detach(&self.mount);
        }
        // Ended before its folder goes.
        self.daemon = None;
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), "could not remove a disk: {error}");
        }
    }
}
