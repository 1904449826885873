//! What the files of a database must hold: a checksum of every table file and of the manifest so far.
//!
//! RocksDB checks blocks when it reads them; a cold block, a filter or a file that lost its end while the
//! process was down would be noticed late, and a manifest that lost its end not at all. The list is kept in
//! the database's folder, which RocksDB leaves alone and checkpoints do not copy. It never speaks of bytes
//! that are not durable. A lost or damaged list costs nothing but this knowledge: it is begun anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mainstay_engine::{EngineError, FileSum, Pace};

use crate::limits::{SCRUB_PIECE_BYTES, SUMS_BYTES_MAX};

const LIST: &str = "SUMS";
const FORMAT: &str = "mainstay-sums-1";

/// The list. `known` holds whole table files and, under the manifest's name, its first bytes.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    known: BTreeMap<String, FileSum>,
    changed: bool,
}

impl Sums {
    /// The list in a database's folder; empty when there is none that can be trusted.
    pub(crate) fn load(dir: &Path) -> Self {
        let known = read_bounded(&dir.join(LIST))
            .ok()
            .and_then(|text| parse(&text));
        Self {
            known: known.unwrap_or_default(),
            changed: false,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<FileSum> {
        self.known.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, sum: FileSum) {
        if self.known.insert(name.to_owned(), sum) != Some(sum) {
            self.changed = true;
        }
    }

    /// Forgets the files that are gone.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let before = self.known.len();
        self.known.retain(|name, _| keep(name));
        self.changed |= self.known.len() != before;
    }

    /// Writes the list through a temporary file if it changed.
    pub(crate) fn store(&mut self, dir: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut text = format!("{FORMAT}\n");
        for (name, FileSum { len, crc }) in &self.known {
            let _ = writeln!(text, "{name} {len} {crc:08x}");
        }
        let own = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "end {own:08x}");
        let temporary = dir.join("SUMS.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, dir.join(LIST))?;
        self.changed = false;
        Ok(())
    }

    /// Before a database is opened: its manifest must still begin with what it held, and must not be an
    /// older one. RocksDB itself takes a manifest that lost its end for an older state.
    pub(crate) fn check_manifest(&self, dir: &Path) -> Result<(), EngineError> {
        let Some((name, sum)) = self.known.iter().find(|(name, _)| is_manifest(name)) else {
            return Ok(());
        };
        let current = match read_bounded(&dir.join("CURRENT")) {
            Ok(text) => text.trim_end().to_owned(),
            Err(e) => return Err(corrupt("CURRENT", &e.to_string())),
        };
        if !is_manifest(&current) || current.len() != name.len() || current < *name {
            let what = format!(
                "names \"{}\", the database had {name}",
                current.escape_default()
            );
            return Err(corrupt("CURRENT", &what));
        }
        // A newer manifest holds everything again.
        if current > *name {
            return Ok(());
        }
        let mut none = |_| ControlFlow::Continue(());
        match checksum(&dir.join(name), 0, Some(sum.len), &mut none) {
            Ok(Some(found)) if found == *sum => Ok(()),
            Ok(Some(found)) if found.len < sum.len => {
                let what = format!("ends at byte {}, it had {}", found.len, sum.len);
                Err(corrupt(name, &what))
            }
            Ok(_) => Err(corrupt(name, "its content changed")),
            Err(e) => Err(corrupt(name, &e.to_string())),
        }
    }
}

pub(crate) fn is_manifest(name: &str) -> bool {
    name.starts_with("MANIFEST-")
}

pub(crate) fn corrupt(name: &str, what: &str) -> EngineError {
    EngineError::Corrupt(format!("{name}: {what}"))
}

/// The checksum of a file, or of its first `len` bytes, continuing the checksum `from` of bytes before.
/// Everything read is made durable first. `None` if `pace` ended it.
pub(crate) fn checksum(
    path: &Path,
    from: u32,
    len: Option<u64>,
    pace: &mut Pace<'_>,
) -> io::Result<Option<FileSum>> {
    let file = File::open(path)?;
    sum_file(file, from, 0, len, pace)
}

/// The same from byte `start` on, `from` being the checksum of what is before it.
pub(crate) fn checksum_from(
    path: &Path,
    from: FileSum,
    pace: &mut Pace<'_>,
) -> io::Result<Option<FileSum>> {
    let file = File::open(path)?;
    // What is recorded must be there after a power cut, too.
    file.sync_all()?;
    let more = sum_file(file, from.crc, from.len, None, pace)?;
    Ok(more.map(|more| FileSum {
        len: from.len + more.len,
        crc: more.crc,
    }))
}

fn sum_file(
    mut file: File,
    from: u32,
    start: u64,
    len: Option<u64>,
    pace: &mut Pace<'_>,
) -> io::Result<Option<FileSum>> {
    file.seek(SeekFrom::Start(start))?;
    let mut hasher = crc32fast::Hasher::new_with_initial(from);
    let mut piece = vec![0; SCRUB_PIECE_BYTES];
    let mut done = 0;
    loop {
        let room = len.map_or(u64::MAX, |len| len - done);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
        let read = match file.read(&mut piece[..room]) {
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if read == 0 {
            let crc = hasher.finalize();
            return Ok(Some(FileSum { len: done, crc }));
        }
        hasher.update(&piece[..read]);
        done += read as u64;
        if pace(read as u64).is_break() {
            return Ok(None);
        }
    }
}

fn read_bounded(path: &PathBuf) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(SUMS_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn parse(text: &str) -> Option<BTreeMap<String, FileSum>> {
    let end = text.rfind("end ")?;
    let (body, last) = text.split_at(end);
    let own = last.strip_prefix("end ")?.strip_suffix('\n')?;
    if u32::from_str_radix(own, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != FORMAT {
        return None;
    }
    let mut known = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let (name, len, crc) = (words.next()?, words.next()?, words.next()?);
        let sum = FileSum {
            len: len.parse().ok()?,
            crc: u32::from_str_radix(crc, 16).ok()?,
        };
        known.insert(name.to_owned(), sum);
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_believed_only_as_a_whole() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let mut sums = Sums::default();
        sums.set("000012.sst", FileSum { len: 5, crc: 7 });
        sums.store(tmp.path()).expect("store");
        let again = Sums::load(tmp.path());
        assert_eq!(again.get("000012.sst"), Some(FileSum { len: 5, crc: 7 }));
        let path = tmp.path().join(LIST);
        let bytes = std::fs::read(&path).expect("read");
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("write");
            let loaded = Sums::load(tmp.path());
            assert!(loaded.known.is_empty(), "byte {at}");
            std::fs::write(&path, &bytes[..at]).expect("write");
            assert!(Sums::load(tmp.path()).known.is_empty(), "cut at {at}");
        }
    }

    #[test]
    fn a_manifest_must_begin_as_it_did() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let dir = tmp.path();
        std::fs::write(dir.join("CURRENT"), "MANIFEST-000005\n").expect("write");
        std::fs::write(dir.join("MANIFEST-000005"), b"0123456789").expect("write");
        let mut none = |_| ControlFlow::Continue(());
        let sum = checksum(&dir.join("MANIFEST-000005"), 0, None, &mut none);
        let sum = sum.expect("sum").expect("whole");
        let mut sums = Sums::default();
        sums.set("MANIFEST-000005", sum);
        sums.check_manifest(dir).expect("as it was");
        std::fs::write(dir.join("MANIFEST-000005"), b"0123456789ab").expect("write");
        sums.check_manifest(dir).expect("it grew");
        let grown = checksum_from(&dir.join("MANIFEST-000005"), sum, &mut none);
        let whole = checksum(&dir.join("MANIFEST-000005"), 0, None, &mut none);
        assert_eq!(grown.expect("sum"), whole.expect("sum"));
        for bad in [&b"012345678"[..], b"012345678x", b""] {
            std::fs::write(dir.join("MANIFEST-000005"), bad).expect("write");
            assert!(sums.check_manifest(dir).is_err(), "{bad:?}");
        }
        for bad in [
            "MANIFEST-000004\n",
            "MANIFEST-00000",
            "",
            "LANIFEST-000005\n",
        ] {
            std::fs::write(dir.join("CURRENT"), bad).expect("write");
            assert!(sums.check_manifest(dir).is_err(), "{bad:?}");
        }
    }
}
