//! Power cuts. The crate's only ioctl is here.

use super::{Disk, State};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::proof::Proof;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `FS_IOC_SHUTDOWN`: `_IOR('X', 125, __u32)`.
const SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;
/// Do not flush the journal first.
const NO_LOG_FLUSH: u32 = 2;

/// Cuts the power of several members at once: no process runs another instruction of its own, nothing more reaches any
/// disk, and then all processes are reaped. [`Disk::restore`] and [`Process::restart`] bring them back.
///
/// The order matters. ext4 may report success for a sync that was under way when its power was cut, although nothing was
/// kept. A process that still lives would then acknowledge what is lost, which no real power cut lets it do. So SIGKILL is
/// *sent* first: a thread inside a system call never returns from it, and what it was doing is cut off in the middle.
pub fn power_cut<'a>(
    members: impl IntoIterator<Item = (&'a mut Process, &'a mut Disk)>,
) -> Result<()> {
    let mut members: Vec<_> = members.into_iter().collect();
    for (process, _) in &mut members {
        process.doom()?;
    }
    for (_, disk) in &mut members {
        disk.cut()?;
    }
    for (process, _) in &mut members {
        process.kill()?;
    }
    Ok(())
}

impl Disk {
    /// Cuts the power: from now on every write and sync fails, and nothing more reaches the disk. Processes that tell
    /// others what they have synced must be [doomed](Process::doom) before; [`power_cut`] does it all.
    ///
    /// Just before, a marker is written and not synced; [`Disk::restore`] looks for it.
    pub fn cut(&mut self) -> Result<()> {
        self.mounted()?;
        self.probe().leave_unsynced(self.epoch)?;
        shut_down(&self.mount)?;
        self.state = State::Cut;
        Ok(())
    }

    /// Power is back: unmounts and mounts again. All processes that used the disk must have ended. The proof is that a
    /// marker which was synced at the last mount is there and the one of [`Disk::cut`] is not.
    pub fn restore(&mut self) -> Result<Proof> {
        if self.state != State::Cut {
            return Err(Error::Misuse(format!(
                "the power of {} is on",
                self.mount.display()
            )));
        }
        self.unmount()?;
        self.attach()?;
        // Before new markers are planted.
        let found = self.probe().found(self.epoch)?;
        self.settle()?;
        let text = format!(
            "after the cut the synced marker was {}, the unsynced one {}",
            if found.synced { "there" } else { "MISSING" },
            if found.unsynced {
                "STILL THERE"
            } else {
                "gone"
            }
        );
        if !found.synced {
            return Err(Error::NotActing(format!(
                "{text}: the cut lost more than it may"
            )));
        }
        Ok(Proof::when(!found.unsynced, text))
    }
}

/// Stops a file system as a power cut would.
fn shut_down(mount: &Path) -> Result<()> {
    let doing = || format!("shut down {}", mount.display());
    let folder = File::open(mount).map_err(Error::io(doing()))?;
    let flags = NO_LOG_FLUSH;
    // SAFETY: the request reads one u32 from the pointer, which points to a live u32; the descriptor is open.
    let answer = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &raw const flags) };
    if answer == 0 {
        return Ok(());
    }
    Err(Error::io(doing())(io::Error::last_os_error()))
}
