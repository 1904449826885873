//! What the machine was like before its first cluster came, so that the last one leaves it so.
//!
//! The notes are on a file system that lasts as long as the settings they are about: until the machine starts anew.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::files;
use crate::limits::{MACHINE_LOCK_PATIENCE, POLL_PAUSE};

const NOTES: &str = "/run/mainstay";
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Held while a command changes the machine's network: clusters must not take the same addresses.
#[derive(Debug)]
pub(crate) struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Waits for others: they are done soon.
    pub(crate) fn take() -> Result<Self> {
        files::folder(Path::new(NOTES))?;
        let path = Path::new(NOTES).join("lock");
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        let begun = Instant::now();
        while file.try_lock().is_err() {
            if begun.elapsed() > MACHINE_LOCK_PATIENCE {
                bail!("another 'mainstay' is at work on the machine's network");
            }
            std::thread::sleep(POLL_PAUSE);
        }
        Ok(Self { _file: file })
    }
}

/// Of the network this process sees: others have settings of their own.
fn note() -> Result<PathBuf> {
    let network = fs::metadata("/proc/self/ns/net").context("/proc/self/ns/net")?;
    Ok(Path::new(NOTES).join(format!("ip_forward-{}", network.ino())))
}

/// Lets the machine pass packets on.
pub(crate) fn forward(_: &MachineLock) -> Result<()> {
    let before = files::read(Path::new(FORWARD))?;
    let note = note()?;
    if !note.exists() {
        files::write(&note, before.as_bytes(), 0o644)?;
    }
    if before.trim() == "0" {
        fs::write(FORWARD, "1").context(FORWARD)?;
    }
    Ok(())
}

/// Sets it back to what it was, once no cluster is left.
pub(crate) fn forward_no_more(_: &MachineLock) -> Result<()> {
    let note = note()?;
    let Ok(before) = fs::read_to_string(&note) else {
        return Ok(());
    };
    if files::read(Path::new(FORWARD))? != before {
        fs::write(FORWARD, before.trim()).context(FORWARD)?;
    }
    fs::remove_file(&note).with_context(|| note.display().to_string())
}
