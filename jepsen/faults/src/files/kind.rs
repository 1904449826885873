//! What the files of a data directory are, told by their names.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// Mainstay: a segment of the Raft log in use.
    WalSegment,
    /// Mainstay: a segment that is prepared, waiting for reuse, or set aside as damaged.
    WalSpare,
    /// Mainstay: the witness of what is durable, `wal.durable`.
    Witness,
    /// Mainstay: who the member is.
    Identity,
    /// Mainstay: marks of the members met.
    Peers,
    /// Mainstay: which database is current.
    StatePointer,
    /// Mainstay: room kept for a full disk; holds nothing.
    Ballast,
    /// Mainstay: what can be told from elsewhere: addresses of peers, counters of repairs, the note of damage,
    /// checksums of table files.
    Note,
    /// Mainstay: a file of a snapshot that is being sent or received.
    Snapshot,
    /// RocksDB: sorted data.
    Table,
    /// RocksDB: large values.
    Blob,
    /// RocksDB: which tables there are.
    Manifest,
    /// RocksDB: which manifest is current.
    DbPointer,
    /// RocksDB: how it is tuned.
    Options,
    /// RocksDB: its own write-ahead log, which Mainstay does not write to.
    DbWal,
    /// RocksDB: what it tells its operators.
    InfoLog,
    /// RocksDB: the identity of a database.
    DbIdentity,
    /// etcd: a segment of the log.
    EtcdWal,
    /// etcd: a snapshot.
    EtcdSnapshot,
    /// etcd: the bbolt database.
    EtcdDb,
    /// A lock file: its content means nothing.
    Lock,
    /// Anything else.
    Other,
}

impl FileKind {
    /// The kind of a file at `path` below a data directory.
    pub fn of(path: &Path) -> Self {
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        let below = |folder: &str| {
            parts
                .iter()
                .rev()
                .skip(1)
                .any(|part| part.starts_with(folder))
        };
        let Some(name) = parts.last() else {
            return Self::Other;
        };
        let parent = parts.len().checked_sub(2).map_or("", |at| parts[at]);
        if below("damaged-") {
            // Put away by a repair, kept for people to look at.
            return Self::Other;
        }
        match *name {
            "wal.durable" => return Self::Witness,
            "identity" => return Self::Identity,
            "peers" => return Self::Peers,
            "ballast" => return Self::Ballast,
            "contacts" | "repairs" | "damaged" | "SUMS" => return Self::Note,
            "lock" | "LOCK" | ".lock" => return Self::Lock,
            "CURRENT" if parent == "state" => return Self::StatePointer,
            _ => {}
        }
        if parent == "wal" {
            return wal(name);
        }
        if parent == "snap" {
            return etcd_snap(name);
        }
        if below("snap-") {
            return Self::Snapshot;
        }
        if below("db-") {
            return rocks(name);
        }
        Self::Other
    }

    /// Whether a member needs what is in it: damage there must be noticed, where damage elsewhere may do nothing.
    pub fn matters(self) -> bool {
        !matches!(
            self,
            Self::Lock
                | Self::InfoLog
                | Self::WalSpare
                | Self::DbWal
                | Self::DbIdentity
                | Self::Ballast
                | Self::Note
                | Self::Other
        )
    }
}

fn wal(name: &str) -> FileKind {
    let stem = name.strip_suffix(".wal");
    let hex = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match stem.map(|stem| stem.split_once('-')) {
        Some(None) => FileKind::WalSegment,
        Some(Some((seq, index))) if hex(seq) && hex(index) => FileKind::EtcdWal,
        _ if ["free", "damaged", "tmp"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            FileKind::WalSpare
        }
        _ => FileKind::Other,
    }
}

fn etcd_snap(name: &str) -> FileKind {
    if name == "db" || name.ends_with(".snap.db") {
        FileKind::EtcdDb
    } else if name.ends_with(".snap") {
        FileKind::EtcdSnapshot
    } else {
        FileKind::Other
    }
}

fn rocks(name: &str) -> FileKind {
    match name {
        "CURRENT" => FileKind::DbPointer,
        "IDENTITY" => FileKind::DbIdentity,
        _ if name == "LOG" || name.starts_with("LOG.old") => FileKind::InfoLog,
        _ if name.starts_with("MANIFEST-") => FileKind::Manifest,
        _ if name.starts_with("OPTIONS-") => FileKind::Options,
        _ if name.ends_with(".sst") => FileKind::Table,
        _ if name.ends_with(".blob") => FileKind::Blob,
        _ if name.ends_with(".log") => FileKind::DbWal,
        _ => FileKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kinds() {
        let expected = [
            ("member/wal/0000000000000001.wal", FileKind::WalSegment),
            ("member/wal/0000000000000001.free", FileKind::WalSpare),
            (
                "member/wal/0000000000000000-0000000000000000.wal",
                FileKind::EtcdWal,
            ),
            ("member/wal/0.tmp", FileKind::WalSpare),
            ("member/wal/lock", FileKind::Lock),
            ("member/wal.durable", FileKind::Witness),
            ("member/identity", FileKind::Identity),
            ("member/peers", FileKind::Peers),
            ("member/state/CURRENT", FileKind::StatePointer),
            ("member/ballast", FileKind::Ballast),
            ("member/contacts", FileKind::Note),
            ("member/state/db-1/SUMS", FileKind::Note),
            ("member/state/db-1/CURRENT", FileKind::DbPointer),
            ("member/state/db-1/000012.sst", FileKind::Table),
            ("member/state/db-1/000012.blob", FileKind::Blob),
            ("member/state/db-1/MANIFEST-000005", FileKind::Manifest),
            ("member/state/db-1/OPTIONS-000007", FileKind::Options),
            ("member/state/db-1/000004.log", FileKind::DbWal),
            ("member/state/db-1/LOG", FileKind::InfoLog),
            ("member/state/snap-2/000012.sst", FileKind::Snapshot),
            ("member/damaged-7/state/db-1/000012.sst", FileKind::Other),
            ("member/snap/db", FileKind::EtcdDb),
            (
                "member/snap/0000000000000002-0000000000000005.snap",
                FileKind::EtcdSnapshot,
            ),
            ("something", FileKind::Other),
        ];
        for (path, kind) in expected {
            assert_eq!(FileKind::of(Path::new(path)), kind, "{path}");
        }
    }
}
