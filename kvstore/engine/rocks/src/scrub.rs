//! Reading everything on disk to find damage before it is needed.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use mainstay_engine::{Cf, EngineError, FileSum, Pace, Scrub, Scrubbed};

use crate::RocksEngine;
use crate::limits::SCRUB_STEP_BYTES;
use crate::sums::{checksum, checksum_from, corrupt, is_manifest};

impl RocksEngine {
    pub(crate) fn scrub_now(
        &self,
        what: Scrub,
        pace: &mut Pace<'_>,
    ) -> Result<Scrubbed, EngineError> {
        match what {
            Scrub::Records => self.scrub_records(pace),
            Scrub::New => self.scrub_files(false, pace),
            Scrub::Everything => self.scrub_files(true, pace),
        }
    }

    fn live_tables(&self) -> Result<Vec<(String, u64)>, EngineError> {
        let files = self.db.live_files().map_err(|e| self.failed(e))?;
        let named = files.into_iter().map(|file| {
            let name = file.name.trim_start_matches('/').to_owned();
            (name, file.size as u64)
        });
        Ok(named.collect())
    }

    fn scrub_files(&self, all: bool, pace: &mut Pace<'_>) -> Result<Scrubbed, EngineError> {
        let mut report = Scrubbed::default();
        let tables = self.live_tables()?;
        for (name, size) in &tables {
            let known = self.sums.lock().get(name);
            if known.is_some() && !all {
                continue;
            }
            let Some(found) = self.sum_table(name, pace)? else {
                return Ok(report);
            };
            let Some(found) = found else { continue };
            report.files += 1;
            report.bytes += found.len;
            let expected = known.unwrap_or(FileSum {
                len: *size,
                crc: found.crc,
            });
            if found != expected {
                return Err(self.damaged(name, expected, found));
            }
            if known.is_none() {
                report.new_files += 1;
                self.sums.lock().set(name, found);
            }
        }
        self.scrub_manifest(&mut report, pace)?;
        let live = |name: &str| is_manifest(name) || tables.iter().any(|(live, _)| live == name);
        let mut sums = self.sums.lock();
        sums.retain(live);
        sums.store(&self.dir)?;
        Ok(report)
    }

    /// `None` when `pace` ended it; `Some(None)` when a compaction has deleted the file.
    fn sum_table(
        &self,
        name: &str,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Option<FileSum>>, EngineError> {
        let path = self.dir.join(name);
        match checksum(&path, 0, None, pace) {
            Ok(sum) => Ok(sum.map(Some)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let live = self.live_tables()?.iter().any(|(live, _)| live == name);
                if live && !path.exists() {
                    let error = corrupt(name, "the file is gone");
                    return Err(self.tell(error));
                }
                Ok(Some(None))
            }
            Err(e) => Err(e.into()),
        }
    }

    fn damaged(&self, name: &str, expected: FileSum, found: FileSum) -> EngineError {
        let what = if expected.len == found.len {
            format!(
                "its {} bytes have the checksum {:08x}, not {:08x}",
                found.len, found.crc, expected.crc
            )
        } else {
            format!("it has {} bytes, not {}", found.len, expected.len)
        };
        self.tell(corrupt(name, &what))
    }

    /// The manifest only grows while the database is open, and every opening begins another one.
    fn scrub_manifest(
        &self,
        report: &mut Scrubbed,
        pace: &mut Pace<'_>,
    ) -> Result<(), EngineError> {
        let (name, path) = {
            let text = match std::fs::read_to_string(self.dir.join("CURRENT")) {
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                    ) =>
                {
                    return Err(self.tell(corrupt("CURRENT", &e.to_string())));
                }
                text => text?,
            };
            let name = text.trim_end().to_owned();
            let path = self.dir.join(&name);
            (name, path)
        };
        if !is_manifest(&name) || !path.exists() {
            let what = format!(
                "names \"{}\", which is no manifest here",
                name.escape_default()
            );
            return Err(self.tell(corrupt("CURRENT", &what)));
        }
        let known = self.sums.lock().get(&name);
        let before = known.unwrap_or(FileSum { len: 0, crc: 0 });
        let begins = |path: &Path, pace: &mut Pace<'_>| checksum(path, 0, Some(before.len), pace);
        let Some(found) = begins(&path, pace)? else {
            return Ok(());
        };
        if found != before {
            return Err(self.damaged(&name, before, found));
        }
        let Some(grown) = checksum_from(&path, before, pace)? else {
            return Ok(());
        };
        report.files += 1;
        report.bytes += grown.len;
        let mut sums = self.sums.lock();
        sums.retain(|other| !is_manifest(other) || *other == name);
        sums.set(&name, grown);
        Ok(())
    }

    /// Reads every record past the cache. Each block's checksum is checked on the way.
    fn scrub_records(&self, pace: &mut Pace<'_>) -> Result<Scrubbed, EngineError> {
        let mut report = Scrubbed::default();
        for cf in Cf::ALL {
            let mut options = rocksdb::ReadOptions::default();
            options.set_verify_checksums(true);
            options.fill_cache(false);
            options.set_readahead_size(SCRUB_STEP_BYTES as usize);
            let mut iter = self.db.raw_iterator_cf_opt(self.cf(cf), options);
            iter.seek_to_first();
            let mut step = 0;
            while let Some((key, value)) = iter.item() {
                step += (key.len() + value.len()) as u64;
                if step >= SCRUB_STEP_BYTES {
                    report.bytes += step;
                    if pace(std::mem::take(&mut step)) == ControlFlow::Break(()) {
                        return Ok(report);
                    }
                }
                iter.next();
            }
            report.bytes += step;
            iter.status().map_err(|e| self.failed(e))?;
        }
        Ok(report)
    }
}
