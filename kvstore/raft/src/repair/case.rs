//! The note that a member's data is damaged. While it exists the data is not used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{BufMut, BytesMut};
use mainstay_wal::Disk;

use crate::codec::{Malformed, Put, Reader};
use crate::identity::{self, Identity, read_checked, write_checked};
use crate::limits::DAMAGE_TEXT_BYTES_MAX;

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A segment of the log.
    Log,
    /// The record of what was durable in the log.
    Witness,
    /// The file that says who the member is.
    Identity,
    /// The pointer to the current database.
    Pointer,
    /// A file of the database, or a record in it.
    Engine,
    /// Nothing that a checksum tells, but the content differs from that of a majority.
    Replica,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Log,
        Self::Witness,
        Self::Identity,
        Self::Pointer,
        Self::Engine,
        Self::Replica,
    ];

    /// For logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Witness => "witness",
            Self::Identity => "identity",
            Self::Pointer => "pointer",
            Self::Engine => "engine",
            Self::Replica => "replica",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Witness => 2,
            Self::Identity => 3,
            Self::Pointer => 4,
            Self::Engine => 5,
            Self::Replica => 6,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub(crate) fn to_code(self) -> u8 {
        self.code()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One case of damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub kind: Kind,
    /// Which file, where, and what is wrong with it.
    pub what: String,
    /// The member's incarnation once it is repaired; kept over restarts so that peers do the work once.
    pub incarnation: u64,
    /// Who the member was, if that is known.
    pub former: Option<Identity>,
}

impl Case {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("member").join("damaged")
    }

    /// Writes the note; durable when it returns.
    pub(crate) fn store(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        let mut out = BytesMut::new();
        out.put_u8(self.kind.code());
        out.put_u64_le(self.incarnation);
        let former = self.former.unwrap_or_default();
        out.put_u8(u8::from(self.former.is_some()));
        out.put_u64_le(former.member_id);
        out.put_u64_le(former.cluster_id);
        out.put_u64_le(former.incarnation);
        out.put_len_bytes(bounded(&self.what).as_bytes());
        write_checked(disk, &Self::path(data_dir), &out)
    }

    /// The note, if there is one. One that cannot be read is one, too.
    fn load(disk: &dyn Disk, data_dir: &Path, random: u64) -> io::Result<Option<Self>> {
        let body = match read_checked(disk, &Self::path(data_dir)) {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => body,
            Err(e) if e.kind() == io::ErrorKind::InvalidData => Default::default(),
            Err(e) => return Err(e),
        };
        let mut r = Reader::new(body, "note about damage");
        let mut read = || -> Result<Self, Malformed> {
            let kind = Kind::from_code(r.u8()?).ok_or(Malformed("kind of damage"))?;
            let (incarnation, known) = (r.u64()?, r.bool()?);
            let former = Identity {
                member_id: r.u64()?,
                cluster_id: r.u64()?,
                incarnation: r.u64()?,
                serves_from: 0,
            };
            Ok(Self {
                kind,
                incarnation,
                former: known.then_some(former),
                what: r.string()?,
            })
        };
        Ok(Some(read().unwrap_or_else(|_| Self {
            kind: Kind::Identity,
            what: "the note about earlier damage is unreadable itself".into(),
            incarnation: random,
            former: None,
        })))
    }

    /// Takes the note away: the data is whole, or gone. Durable when it returns.
    pub fn close(disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        match disk.unlink(&Self::path(data_dir)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        disk.sync_dir(&data_dir.join("member"))
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(DAMAGE_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What a data directory is before anything in it is opened.
#[derive(Debug, PartialEq, Eq)]
pub enum Condition {
    /// No member was ever here.
    Fresh,
    Member(Identity),
    Damaged(Case),
}

/// Looks at a data directory. An identity that is unreadable, or missing beside other data, is damage, of
/// which a note is left. `random` must be new.
pub fn inspect(
    disk: &dyn Disk,
    data_dir: &Path,
    wal_dir: Option<&Path>,
    random: u64,
) -> io::Result<Condition> {
    if let Some(case) = Case::load(disk, data_dir, random)? {
        // What was made up must stay.
        case.store(disk, data_dir)?;
        return Ok(Condition::Damaged(case));
    }
    let what = match identity::load(disk, data_dir) {
        Ok(Some(identity)) => return Ok(Condition::Member(identity)),
        Ok(None) if !has_data(disk, data_dir, wal_dir)? => return Ok(Condition::Fresh),
        Ok(None) => "member/identity is missing while other data is there".to_owned(),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => e.to_string(),
        Err(e) => return Err(e),
    };
    let case = Case {
        kind: Kind::Identity,
        what,
        incarnation: random,
        former: None,
    };
    case.store(disk, data_dir)?;
    super::History::found(disk, data_dir, case.kind);
    Ok(Condition::Damaged(case))
}

fn has_data(disk: &dyn Disk, data_dir: &Path, wal_dir: Option<&Path>) -> io::Result<bool> {
    let member = data_dir.join("member");
    let wal = wal_dir.map_or_else(|| member.join("wal"), Path::to_path_buf);
    let names = disk.list(&member)?;
    let holds = |name: &str| names.iter().any(|other| other == name);
    let segments = disk.list(&wal)?;
    Ok(holds("peers")
        || holds("wal.durable")
        || disk
            .list(&member.join("state"))?
            .iter()
            .any(|n| n == "CURRENT")
        || segments.iter().any(|name| name.ends_with(".wal")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;

    fn case() -> Case {
        Case {
            kind: Kind::Engine,
            what: "000012.sst: changed".into(),
            incarnation: 5,
            former: Some(Identity {
                member_id: 1,
                cluster_id: 2,
                incarnation: 3,
                serves_from: 0,
            }),
        }
    }

    #[test]
    fn a_note_stays_until_it_is_closed() {
        let disk = MemDisk::new(1);
        let dir = Path::new("data");
        assert_eq!(
            inspect(&disk, dir, None, 9).expect("look"),
            Condition::Fresh
        );
        case().store(&disk, dir).expect("store");
        for _ in 0..2 {
            let found = inspect(&disk, dir, None, 9).expect("look");
            assert_eq!(found, Condition::Damaged(case()));
        }
        Case::close(&disk, dir).expect("close");
        assert_eq!(
            inspect(&disk, dir, None, 9).expect("look"),
            Condition::Fresh
        );
    }

    #[test]
    fn a_damaged_note_is_a_note_with_one_new_incarnation() {
        let disk = MemDisk::new(2);
        let dir = Path::new("data");
        case().store(&disk, dir).expect("store");
        disk.damage(&Case::path(dir), |bytes| bytes.truncate(11));
        for random in [9, 10] {
            let Condition::Damaged(found) = inspect(&disk, dir, None, random).expect("look") else {
                panic!("the note is gone");
            };
            assert_eq!((found.incarnation, found.former), (9, None));
        }
    }

    #[test]
    fn a_damaged_or_missing_identity_is_a_case() {
        let disk = MemDisk::new(3);
        let dir = Path::new("data");
        let identity = case().former.expect("there");
        identity::store(&disk, dir, &identity).expect("store");
        let found = inspect(&disk, dir, None, 9).expect("look");
        assert_eq!(found, Condition::Member(identity));
        let path = dir.join("member").join("identity");
        disk.damage(&path, |bytes| bytes[9] ^= 1);
        let found = inspect(&disk, dir, None, 9).expect("look");
        assert!(matches!(found, Condition::Damaged(case) if case.kind == Kind::Identity));
        Case::close(&disk, dir).expect("close");
        disk.unlink(&path).expect("unlink");
        write_checked(&disk, &dir.join("member").join("peers"), b"x").expect("store");
        let found = inspect(&disk, dir, None, 9).expect("look");
        assert!(matches!(found, Condition::Damaged(_)));
    }
}
