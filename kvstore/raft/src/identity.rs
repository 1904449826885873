//! Who a member is, kept beside its data: ids, and a random incarnation that a wiped folder cannot
//! have kept. Peers refuse a known id with another incarnation, so a member whose data was lost
//! cannot vote under its old name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use crate::codec::Reader;
use crate::state_dir::sync_dir;

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
pub fn load(data_dir: &Path) -> io::Result<Option<Identity>> {
    let Some(body) = read_checked(&path(data_dir))? else {
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

pub(crate) fn store(data_dir: &Path, id: &Identity) -> io::Result<()> {
    let mut out = BytesMut::new();
    out.put_u64_le(id.member_id);
    out.put_u64_le(id.cluster_id);
    out.put_u64_le(id.incarnation);
    write_checked(&path(data_dir), &out)
}

/// The incarnations of the peers this member has met, kept across restarts.
#[derive(Debug)]
pub(crate) struct KnownPeers {
    path: PathBuf,
    known: Mutex<BTreeMap<u64, u64>>,
}

impl KnownPeers {
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join("member").join("peers");
        let mut known = BTreeMap::new();
        if let Some(body) = read_checked(&path)? {
            let mut r = Reader::new(body, "peers file");
            let n = r.count(16).map_err(io::Error::other)?;
            for _ in 0..n {
                let id = r.u64().map_err(io::Error::other)?;
                known.insert(id, r.u64().map_err(io::Error::other)?);
            }
        }
        Ok(Self {
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
        write_checked(&self.path, &out)?;
        Ok(true)
    }
}

/// Writes `magic, crc, body` through a temporary file.
fn write_checked(path: &Path, body: &[u8]) -> io::Result<()> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other("no parent folder"))?;
    fs::create_dir_all(dir)?;
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(&MAGIC.to_le_bytes())?;
    file.write_all(&crc32fast::hash(body).to_le_bytes())?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    sync_dir(dir)
}

fn read_checked(path: &Path) -> io::Result<Option<Bytes>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
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

    #[test]
    fn identity_survives_and_damage_is_told() {
        let tmp = tempfile::tempdir().expect("tempdir");
        assert_eq!(load(tmp.path()).expect("empty"), None);
        let id = Identity {
            member_id: 1,
            cluster_id: 2,
            incarnation: 3,
        };
        store(tmp.path(), &id).expect("store");
        assert_eq!(load(tmp.path()).expect("load"), Some(id));
        let file = path(tmp.path());
        let mut bytes = fs::read(&file).expect("read");
        *bytes.last_mut().expect("not empty") ^= 1;
        fs::write(&file, bytes).expect("write");
        assert!(load(tmp.path()).is_err());
    }

    #[test]
    fn a_peer_with_another_incarnation_is_refused_even_after_a_restart() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let peers = KnownPeers::open(tmp.path()).expect("open");
        assert!(peers.admit(7, 1).expect("admit"));
        assert!(!peers.admit(7, 2).expect("admit"));
        let peers = KnownPeers::open(tmp.path()).expect("reopen");
        assert!(peers.admit(7, 1).expect("admit"));
        assert!(!peers.admit(7, 2).expect("admit"));
    }
}
