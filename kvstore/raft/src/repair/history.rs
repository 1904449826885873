//! What was found and repaired so far, for the metrics: a repair starts the process over.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{BufMut, BytesMut};
use mainstay_wal::Disk;

use super::Kind;
use crate::codec::{Malformed, Reader};
use crate::identity::{read_checked, write_checked};

/// Counters that outlive the process. Losing them harms nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Cases of damage by kind.
    pub found: BTreeMap<Kind, u64>,
    /// Times the member began anew with data from its peers.
    pub repairs: u64,
    /// Files that were made again from what else is known.
    pub rebuilt: u64,
}

/// What a step of a repair adds to the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Found(Kind),
    Repaired,
    Rebuilt,
}

impl History {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("member").join("repairs")
    }

    /// The counters; zero when there are none or they cannot be read.
    #[must_use]
    pub fn load(disk: &dyn Disk, data_dir: &Path) -> Self {
        let body = read_checked(disk, &Self::path(data_dir));
        let Ok(Some(body)) = body else {
            return Self::default();
        };
        let mut r = Reader::new(body, "repairs");
        let mut read = || -> Result<Self, Malformed> {
            let (repairs, rebuilt) = (r.u64()?, r.u64()?);
            let mut found = BTreeMap::new();
            for _ in 0..r.count(9)? {
                let (code, count) = (r.u8()?, r.u64()?);
                found.extend(Kind::from_code(code).map(|kind| (kind, count)));
            }
            Ok(Self {
                found,
                repairs,
                rebuilt,
            })
        };
        read().unwrap_or_default()
    }

    /// Counts a step. Failing to is told in the log only.
    pub fn count(disk: &dyn Disk, data_dir: &Path, progress: Progress) {
        let mut history = Self::load(disk, data_dir);
        match progress {
            Progress::Found(kind) => *history.found.entry(kind).or_default() += 1,
            Progress::Repaired => history.repairs += 1,
            Progress::Rebuilt => history.rebuilt += 1,
        }
        if let Err(e) = history.store(disk, data_dir) {
            tracing::warn!("counting repairs: {e}");
        }
    }

    pub(crate) fn found(disk: &dyn Disk, data_dir: &Path, kind: Kind) {
        Self::count(disk, data_dir, Progress::Found(kind));
    }

    fn store(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        let mut out = BytesMut::new();
        out.put_u64_le(self.repairs);
        out.put_u64_le(self.rebuilt);
        out.put_u32_le(u32::try_from(self.found.len()).expect("kinds are few"));
        for (kind, count) in &self.found {
            out.put_u8(kind.to_code());
            out.put_u64_le(*count);
        }
        write_checked(disk, &Self::path(data_dir), &out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;

    #[test]
    fn counters_outlive_the_process_and_damage_resets_them() {
        let disk = MemDisk::new(1);
        let dir = Path::new("data");
        assert_eq!(History::load(&disk, dir), History::default());
        History::found(&disk, dir, Kind::Log);
        History::found(&disk, dir, Kind::Log);
        History::count(&disk, dir, Progress::Repaired);
        let history = History::load(&disk, dir);
        assert_eq!((history.found[&Kind::Log], history.repairs), (2, 1));
        disk.damage(&History::path(dir), |bytes| bytes[10] ^= 1);
        assert_eq!(History::load(&disk, dir), History::default());
    }
}
