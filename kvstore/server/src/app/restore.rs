//! Putting damaged files away, and beginning anew under the same id.
//!
//! Every step may be the last one before a crash: the note about the damage goes last, and until then the whole is
//! done again.

use mainstay_raft::identity::{self, Identity};
use mainstay_raft::repair::{Case, Granted, History, Progress};
use mainstay_wal::OsDisk;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const ASIDE: &str = "damaged-";

/// Moves the damaged files aside, where one set of them is kept for people to look at, and makes the data directory
/// that of a member with nothing.
pub(super) fn begin_anew(
    data_dir: &Path,
    wal_dir: Option<&Path>,
    case: &Case,
    granted: Granted,
) -> io::Result<Identity> {
    let member = data_dir.join("member");
    let name = format!("{ASIDE}{:016x}", case.incarnation);
    let own = ["identity", "peers", "state", "wal", "wal.durable"];
    put_away(&member, &own.map(PathBuf::from), &name)?;
    if let Some(wal) = wal_dir {
        put_away_log(wal, &name)?;
    }
    let identity = Identity {
        member_id: granted.member_id,
        cluster_id: granted.cluster_id,
        incarnation: case.incarnation,
        serves_from: granted.serves_from,
    };
    identity::store(&OsDisk, data_dir, &identity)?;
    History::count(&OsDisk, data_dir, Progress::Repaired);
    Case::close(&OsDisk, data_dir)?;
    Ok(identity)
}

/// Moves what is there of `files` into a new folder beside them and removes earlier such folders.
fn put_away(dir: &Path, files: &[PathBuf], name: &str) -> io::Result<()> {
    let aside = dir.join(name);
    fs::create_dir_all(&aside)?;
    for file in files {
        match fs::rename(dir.join(file), aside.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(&aside)?.sync_all()?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let other = entry.file_name();
        let is_aside = other.to_string_lossy().starts_with(ASIDE) && entry.file_type()?.is_dir();
        if is_aside && other != name {
            fs::remove_dir_all(entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

/// A log with a directory of its own stays on its disk.
fn put_away_log(dir: &Path, name: &str) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(PathBuf::from(entry.file_name()));
        }
    }
    put_away(dir, &files, name)?;
    let mut witness = dir.file_name().unwrap_or_default().to_owned();
    witness.push(".durable");
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    put_away(parent, &[PathBuf::from(witness)], name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_raft::repair::{Condition, Kind, inspect};

    #[test]
    fn what_is_damaged_is_kept_once_and_nothing_of_it_is_used() {
        let tmp = tempfile::tempdir().unwrap();
        let (data, wal) = (tmp.path().join("data"), tmp.path().join("log"));
        for round in 1..=3u64 {
            fs::create_dir_all(data.join("member/state/db-1")).unwrap();
            fs::create_dir_all(&wal).unwrap();
            fs::write(data.join("member/peers"), "p").unwrap();
            fs::write(wal.join("0000000000000001.wal"), round.to_string()).unwrap();
            fs::write(tmp.path().join("log.durable"), "w").unwrap();
            let case = Case {
                kind: Kind::Log,
                what: "a test".into(),
                incarnation: round,
                former: None,
            };
            let granted = Granted {
                member_id: 1,
                cluster_id: 2,
                serves_from: 3,
            };
            // As if the first attempt had been cut short.
            for _ in 0..2 {
                begin_anew(&data, Some(&wal), &case, granted).unwrap();
            }
            let found = inspect(&OsDisk, &data, Some(&wal), 9).unwrap();
            let expected = Identity {
                member_id: 1,
                cluster_id: 2,
                incarnation: round,
                serves_from: 3,
            };
            assert_eq!(found, Condition::Member(expected));
            let kept = wal.join(format!("damaged-{round:016x}/0000000000000001.wal"));
            assert_eq!(fs::read_to_string(kept).unwrap(), round.to_string());
            for dir in [&data.join("member"), &wal, tmp.path()] {
                let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
                let asides = names.filter(|name| name.to_string_lossy().starts_with(ASIDE));
                assert_eq!(asides.count(), 1, "{dir:?}");
            }
        }
    }
}
