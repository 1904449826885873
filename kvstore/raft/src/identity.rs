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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub member_id: u64,
    pub cluster_id: u64,
    /// Random, chosen when the data directory was made.
    pub incarnation: u64,
    /// Not 0 for a member whose data was lost and that came back under its old id: the log index up to which
    /// its former self may have served. Below it nothing is served, and no cluster is founded.
    pub serves_from: u64,
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
            // Absent from files of members that were never repaired.
            serves_from: match r.end() {
                Ok(()) => 0,
                Err(_) => r.u64()?,
            },
        };
        r.end()?;
        Ok(id)
    };
    read().map(Some).map_err(invalid)
}

/// Writes the identity; durable when it returns.
pub fn store(disk: &dyn Disk, data_dir: &Path, id: &Identity) -> io::Result<()> {
    let mut out = BytesMut::new();
    out.put_u64_le(id.member_id);
    out.put_u64_le(id.cluster_id);
    out.put_u64_le(id.incarnation);
    if id.serves_from > 0 {
        out.put_u64_le(id.serves_from);
    }
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
    /// Errors: invalid data when the file is damaged.
    pub(crate) fn open(disk: Arc<dyn Disk>, data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("member").join("peers");
        let known = read_peers(&*disk, &path)?;
        Ok(Self {
            disk,
            path,
            known: Mutex::new(known),
        })
    }

    /// Begins anew with what else is known of the peers' incarnations.
    pub(crate) fn rebuild(
        disk: Arc<dyn Disk>,
        data_dir: &Path,
        known: BTreeMap<u64, u64>,
    ) -> io::Result<Self> {
        let peers = Self {
            disk,
            path: data_dir.join("member").join("peers"),
            known: Mutex::new(known),
        };
        peers.write(&peers.known.lock())?;
        Ok(peers)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known.lock().is_empty()
    }

    /// Writes the file again if it does not hold what is known; true if that was so.
    pub(crate) fn check(&self) -> io::Result<bool> {
        let known = self.known.lock();
        let found = read_peers(&*self.disk, &self.path);
        if known.is_empty() || found.as_ref().is_ok_and(|found| *found == *known) {
            return Ok(false);
        }
        tracing::warn!("member/peers was damaged ({found:?}) and is written again");
        self.write(&known).map(|()| true)
    }

    /// Whether a peer is who it was; one never met before is remembered, on disk before `true`. What the
    /// cluster knows (`published`) comes before what this member remembers: a repaired member is another.
    pub(crate) fn admit(
        &self,
        id: u64,
        incarnation: u64,
        published: Option<u64>,
    ) -> io::Result<bool> {
        let mut known = self.known.lock();
        let seen = known.get(&id).copied();
        if published.or(seen).is_some_and(|known| known != incarnation) {
            return Ok(false);
        }
        if seen != Some(incarnation) {
            known.insert(id, incarnation);
            self.write(&known)?;
        }
        Ok(true)
    }

    fn write(&self, known: &BTreeMap<u64, u64>) -> io::Result<()> {
        let mut out = BytesMut::new();
        out.put_u32_le(u32::try_from(known.len()).expect("members are few"));
        for (id, incarnation) in known {
            out.put_u64_le(*id);
            out.put_u64_le(*incarnation);
        }
        write_checked(&*self.disk, &self.path, &out)
    }
}

fn read_peers(disk: &dyn Disk, path: &Path) -> io::Result<BTreeMap<u64, u64>> {
    let mut known = BTreeMap::new();
    if let Some(body) = read_checked(disk, path)? {
        let mut r = Reader::new(body, "peers file");
        let n = r.count(16).map_err(invalid)?;
        for _ in 0..n {
            let id = r.u64().map_err(invalid)?;
            known.insert(id, r.u64().map_err(invalid)?);
        }
    }
    Ok(known)
}

fn invalid(e: crate::codec::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}

/// Writes `magic, crc, body` through a temporary file.
pub(crate) fn write_checked(disk: &dyn Disk, path: &Path, body: &[u8]) -> io::Result<()> {
    let crc = crc32fast::hash(body);
    files::replace(
        disk,
        path,
        &[&MAGIC.to_le_bytes(), &crc.to_le_bytes(), body],
    )
}

/// The body of such a file. Errors: invalid data when it is damaged.
pub(crate) fn read_checked(disk: &dyn Disk, path: &Path) -> io::Result<Option<Bytes>> {
    let Some(bytes) = files::read(disk, path)? else {
        return Ok(None);
    };
    let damaged = || {
        let text = format!("{} is damaged", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
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
            serves_from: 0,
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
        assert!(peers.admit(7, 1, None).expect("admit"));
        assert!(!peers.admit(7, 2, None).expect("admit"));
        disk.crash(Crash::PowerNothingKept);
        let peers = KnownPeers::open(disk, data).expect("reopen");
        assert!(peers.admit(7, 1, None).expect("admit"));
        assert!(!peers.admit(7, 2, None).expect("admit"));
    }
}
