//! What a member's data lies on.

use crate::limits::{DISK_BYTES, SMALL_DISK_BYTES};
use crate::nemesis::Disks;
use anyhow::{Context, Result};
use mainstay_faults::Run;
use mainstay_faults::disk::{Disk, Kind};
use std::path::{Path, PathBuf};

/// A member's data folder and what it is on.
#[derive(Debug)]
pub struct Storage {
    data: PathBuf,
    disk: Option<Disk>,
}

impl Storage {
    /// A folder of the run's own, or a disk with a folder on it. The server creates the folder.
    pub fn create(run: &Run, index: usize, disks: Option<Disks>) -> Result<Self> {
        let name = format!("m{index}");
        let Some(disks) = disks else {
            let home = run.dir().join(name);
            std::fs::create_dir_all(&home)
                .with_context(|| format!("creating {}", home.display()))?;
            return Ok(Self {
                data: home.join("data"),
                disk: None,
            });
        };
        let (bytes, kind) = match disks {
            Disks::Loop => (DISK_BYTES, Kind::Plain),
            Disks::Small => (SMALL_DISK_BYTES, Kind::Plain),
            Disks::Daemon => (DISK_BYTES, Kind::Daemon),
        };
        let disk = Disk::create(run, &name, bytes, kind)
            .with_context(|| format!("making the disk of {name}"))?;
        Ok(Self {
            data: disk.data(),
            disk: Some(disk),
        })
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The disk that a nemesis which breaks disks has asked for.
    pub fn disk(&mut self) -> Result<&mut Disk> {
        self.disk
            .as_mut()
            .context("this cluster was made without disks of its own")
    }
}
