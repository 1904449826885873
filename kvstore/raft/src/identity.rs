//! Who a member is, kept beside its data: ids, and a random incarnation that a wiped folder cannot
//! have kept. Peers refuse a known id with another incarnation, so a member whose data was lost
//! cannot vote under its old name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_wal::Disk;
use parking_lot::Mutex;

use crate::codec::Reader;
use crate::files;

const MAGIC: u32 = 0x4d53_4944;

/// The identity file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub member_id: u64,
    pub cluster_id: u64,
    /// Random, chosen when the data directory was made.
    pub incarnation: u64,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("member").join("identity")
}

/// The identity in a data directory; `None` when it holds no member yet.
pub fn load(disk: &dyn Disk, data_dir: &Path) -> io::Result<Option<Identity>> {
    let Some(body) = read_checked(disk, &path(data_dir))? else {
        return Ok(None);
    };
    let mut r = Reader::new(body, "identity file");
    let mut read = || -> Result<Identity, crate::codec::Malformed> {
        let id = Identity {
            member_id: r.u64()?,
            cluster_id: r.u64()?,
            incarnation: r.u64()?,
        };
        r.end()?;
        Ok(id)
    };
    read().map(Some).map_err(io::Error::other)
}

pub(crate) fn store(disk: &dyn Disk, data_dir: &Path, id: &Identity) -> io::Result<()> {
    let mut out = BytesMut::new();
    out.put_u64_le(id.member_id);
    out.put_u64_le(id.cluster_id);
    out.put_u64_le(id.incarnation);
    write_checked(disk, &path(data_dir), &out)
}

/// The incarnations of the peers this member has met, kept across restarts.
pub(crate) struct KnownPeers {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    known: Mutex<BTreeMap<u64, u64>>,
}

impl std::fmt::Debug for KnownPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownPeers")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl KnownPeers {
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("member").join("peers");
        let mut known = BTreeMap::new();
        if let Some(body) = read_checked(&*disk, &path)? {
            let mut r = Reader::new(body, "peers file");
            let n = r.count(16).map_err(io::Error::other)?;
            for _ in 0..n {
                let id = r.u64().map_err(io::Error::other)?;
                known.insert(id, r.u64().map_err(io::Error::other)?);
            }
        }
        Ok(Self {
            disk,
            path,
            known: Mutex::new(known),
        })
    }

    /// Whether a peer is who it was; one never met before is remembered, on disk before `true`.
    pub(crate) fn admit(&self, id: u64, incarnation: u64) -> io::Result<bool> {
        let mut known = self.known.lock();
        if let Some(seen) = known.get(&id) {
            return Ok(*seen == incarnation);
        }
        known.insert(id, incarnation);
        let mut out = BytesMut::new();
        out.put_u32_le(u32::try_from(known.len()).expect("members are few"));
        for (id, incarnation) in known.iter() {
            out.put_u64_le(*id);
            out.put_u64_le(*incarnation);
        }
        write_checked(&*self.disk, &self.path, &out)?;
        Ok(true)
    }
}

/// Writes `magic, crc, body` through a temporary file.
fn write_checked(disk: &dyn Disk, path: &Path, body: &[u8]) -> io::Result<()> {
    let crc = crc32fast::hash(body);
    files::replace(
        disk,
        path,
        &[&MAGIC.to_le_bytes(), &crc.to_le_bytes(), body],
    )
}

fn read_checked(disk: &dyn Disk, path: &Path) -> io::Result<Option<Bytes>> {
    let Some(bytes) = files::read(disk, path)? else {
        return Ok(None);
    };
    let damaged = || io::Error::other(format!("{} is damaged", path.display()));
    let mut r = Reader::new(bytes, "file");
    let (magic, crc) = (
        r.u32().map_err(|_| damaged())?,
        r.u32().map_err(|_| damaged())?,
    );
    let body = r.rest();
    if magic != MAGIC || crc != crc32fast::hash(&body) {
        return Err(damaged());
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;
    use mainstay_wal::disk::Crash;

    #[test]
    fn identity_survives_and_damage_is_told() {
        let (disk, data) = (MemDisk::new(1), Path::new("data"));
        assert_eq!(load(&disk, data).expect("empty"), None);
        let id = Identity {
            member_id: 1,
            cluster_id: 2,
            incarnation: 3,
        };
        store(&disk, data, &id).expect("store");
        disk.crash(Crash::PowerNothingKept);
        assert_eq!(load(&disk, data).expect("load"), Some(id));
        disk.damage(&path(data), |bytes| {
            *bytes.last_mut().expect("not empty") ^= 1;
        });
        assert!(load(&disk, data).is_err());
    }

    #[test]
    fn a_peer_with_another_incarnation_is_refused_even_after_a_restart() {
        let (disk, data) = (Arc::new(MemDisk::new(1)), Path::new("data"));
        let peers = KnownPeers::open(disk.clone(), data).expect("open");
        assert!(peers.admit(7, 1).expect("admit"));
        assert!(!peers.admit(7, 2).expect("admit"));
        disk.crash(Crash::PowerNothingKept);
        let peers = KnownPeers::open(disk, data).expect("reopen");
        assert!(peers.admit(7, 1).expect("admit"));
        assert!(!peers.admit(7, 2).expect("admit"));
    }
}
