//! Harming one file, so that it is certain that something changed, and known what.

use super::{DataFile, FileKind};
use crate::error::{Error, Result};
use crate::limits::UNDO_BYTES_MAX;
use crate::proof::Proof;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What a disk writes at once.
const BLOCK_BYTES: u64 = 4_096;
/// Bytes shown in a proof.
const SHOWN_BYTES: usize = 8;
/// Most bits that are flipped at a time.
const FLIPS_MAX: u32 = 1_024;

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// So many different bits (1 to 1,024) change within one block.
    FlipBits(u32),
    /// The file ends at the spot.
    Truncate,
    /// The block at the spot becomes zeros: a write that never happened.
    ZeroBlock,
    /// The block at the spot gets the content of another block of the file: a write that went to the wrong place.
    MisplaceBlock,
    /// The file is gone.
    Delete,
}

/// Where it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spot {
    /// Anywhere in the used part.
    Random,
    /// In the last 64 bytes of the used part: where a torn write would be.
    End,
    /// At this offset, which must lie in the file.
    At(u64),
}

/// What was done to a file.
#[derive(Clone, Debug)]
pub struct Injury {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// What was done.
    pub damage: Damage,
    /// Where the first changed byte is.
    pub offset: u64,
    /// Length of the file before.
    pub bytes: u64,
    /// What was there, from the first to the last changed byte, or what was cut off.
    pub before: Vec<u8>,
    /// What is there now; empty for what was cut off.
    pub after: Vec<u8>,
}

impl Injury {
    /// Which file, where, from what to what.
    pub fn proof(&self) -> Proof {
        let name = self.path.file_name().unwrap_or_default().display();
        Proof::acted(format!(
            "{:?} of {name} ({:?}, {} bytes) at {}: {} became {}",
            self.damage,
            self.kind,
            self.bytes,
            self.offset,
            show(&self.before),
            show(&self.after)
        ))
    }

    /// Writes back what was there. What others wrote to the same place since is lost.
    pub fn undo(self) -> Result<()> {
        let undo = || {
            let file = OpenOptions::new()
                .write(true)
                .create(self.damage == Damage::Delete)
                .truncate(false)
                .open(&self.path)?;
            if file.metadata()?.len() < self.bytes {
                file.set_len(self.bytes)?;
            }
            file.write_all_at(&self.before, self.offset)?;
            sync(&file, &self.path)
        };
        undo().map_err(Error::io(format!("restore {}", self.path.display())))
    }
}

fn show(bytes: &[u8]) -> String {
    let hex: String = bytes
        .iter()
        .take(SHOWN_BYTES)
        .map(|b| format!("{b:02x}"))
        .collect();
    match bytes.len() {
        0 => "nothing".into(),
        n if n > SHOWN_BYTES => format!("{hex}… ({n} bytes)"),
        _ => hex,
    }
}

/// Harms a file. The same seed does the same to the same content. Fails with [`Error::Misuse`] where that kind of damage
/// would change nothing, such as zeroing an empty file or misplacing its only block, and for files whose lost
/// content could not be kept ([`UNDO_BYTES_MAX`]).
pub fn damage(file: &DataFile, damage: Damage, spot: Spot, seed: u64) -> Result<Injury> {
    let work = Work::open(file, damage)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let harm = match damage {
        Damage::FlipBits(bits) => work.flip(bits, spot, &mut rng)?,
        Damage::Truncate => work.truncate(spot, &mut rng)?,
        Damage::ZeroBlock => work.zero(spot, &mut rng)?,
        Damage::MisplaceBlock => work.misplace(spot, &mut rng)?,
        Damage::Delete => work.delete()?,
    };
    Ok(work.injury(harm))
}

/// A change: where, and from what to what.
struct Harm {
    offset: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

struct Work<'a> {
    target: &'a DataFile,
    damage: Damage,
    file: File,
    bytes: u64,
    used: u64,
}

impl<'a> Work<'a> {
    fn open(target: &'a DataFile, damage: Damage) -> Result<Self> {
        let opened = || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&target.path)?;
            let bytes = file.metadata()?.len();
            let used = used(&file, bytes)?;
            Ok((file, bytes, used))
        };
        let (file, bytes, used) =
            opened().map_err(Error::io(format!("open {}", target.path.display())))?;
        let work = Self {
            target,
            damage,
            file,
            bytes,
            used,
        };
        if used == 0 && damage != Damage::Delete {
            return Err(work.pointless("it is empty"));
        }
        Ok(work)
    }

    fn injury(&self, harm: Harm) -> Injury {
        Injury {
            path: self.target.path.clone(),
            kind: self.target.kind,
            damage: self.damage,
            offset: harm.offset,
            bytes: self.bytes,
            before: harm.before,
            after: harm.after,
        }
    }

    fn flip(&self, bits: u32, spot: Spot, rng: &mut StdRng) -> Result<Harm> {
        let offset = self.offset(spot, rng)?;
        let room = BLOCK_BYTES.min(self.bytes - offset);
        if bits == 0 || bits > FLIPS_MAX || u64::from(bits) > room * 8 {
            return Err(self.pointless("there are not so many bits"));
        }
        let before = self.read(offset, room)?;
        let mut after = before.clone();
        // A single bit flips at the spot itself, further ones anywhere behind it in the block.
        let first = rng.random_range(0..8_usize);
        let mut others: Vec<usize> = (0..before.len() * 8).filter(|bit| *bit != first).collect();
        let (chosen, _) = others.partial_shuffle(rng, bits as usize - 1);
        for bit in chosen.iter().copied().chain([first]) {
            after[bit / 8] ^= 1 << (bit % 8);
        }
        self.replace(offset, before, after)
    }

    fn truncate(&self, spot: Spot, rng: &mut StdRng) -> Result<Harm> {
        let offset = self.offset(spot, rng)?;
        let before = self.lost(offset)?;
        self.file
            .set_len(offset)
            .and_then(|()| sync(&self.file, &self.target.path))
            .map_err(self.failing())?;
        Ok(Harm {
            offset,
            before,
            after: Vec::new(),
        })
    }

    fn zero(&self, spot: Spot, rng: &mut StdRng) -> Result<Harm> {
        let chosen = self.offset(spot, rng)?;
        let own = chosen - chosen % BLOCK_BYTES;
        // A random block may be one of zeros already, between parts in use: then the next one is taken.
        let others = self.blocks_from(chosen).filter(|_| spot == Spot::Random);
        for offset in std::iter::once(own).chain(others) {
            let before = self.block(offset)?;
            if before.iter().any(|b| *b != 0) {
                let after = vec![0; before.len()];
                return self.replace(offset, before, after);
            }
        }
        Err(self.pointless("the block is zeros already"))
    }

    fn misplace(&self, spot: Spot, rng: &mut StdRng) -> Result<Harm> {
        let chosen = self.offset(spot, rng)?;
        let offset = chosen - chosen % BLOCK_BYTES;
        let before = self.block(offset)?;
        let start = self.offset(Spot::Random, rng)?;
        for other in self.blocks_from(start) {
            let mut after = self.block(other)?;
            after.truncate(before.len());
            if after.len() == before.len() && after != before {
                return self.replace(offset, before, after);
            }
        }
        Err(self.pointless("it has no other block of different content"))
    }

    fn delete(&self) -> Result<Harm> {
        let before = self.lost(0)?;
        fs::remove_file(&self.target.path)
            .and_then(|()| sync_folder(&self.target.path))
            .map_err(self.failing())?;
        Ok(Harm {
            offset: 0,
            before,
            after: Vec::new(),
        })
    }

    fn offset(&self, spot: Spot, rng: &mut StdRng) -> Result<u64> {
        match spot {
            Spot::Random => Ok(rng.random_range(0..self.used)),
            Spot::End => Ok(rng.random_range(self.used.saturating_sub(64)..self.used)),
            Spot::At(offset) if offset < self.bytes => Ok(offset),
            Spot::At(_) => Err(self.pointless("it is not so long")),
        }
    }

    /// The blocks of the used part: the one around `offset`, those behind it, then those before it.
    fn blocks_from(&self, offset: u64) -> impl Iterator<Item = u64> {
        let count = self.used.div_ceil(BLOCK_BYTES).max(1);
        let first = offset / BLOCK_BYTES;
        (0..count).map(move |n| (first + n) % count * BLOCK_BYTES)
    }

    fn block(&self, offset: u64) -> Result<Vec<u8>> {
        self.read(offset, BLOCK_BYTES.min(self.bytes.saturating_sub(offset)))
    }

    fn read(&self, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        self.file
            .read_exact_at(&mut content, offset)
            .map_err(self.failing())?;
        Ok(content)
    }

    /// The used part from `offset` on, to be kept while the file loses it.
    fn lost(&self, offset: u64) -> Result<Vec<u8>> {
        let bytes = self.used.saturating_sub(offset);
        if bytes > UNDO_BYTES_MAX {
            return Err(Error::Misuse(format!(
                "{}: {bytes} bytes would be lost, and at most {UNDO_BYTES_MAX} are kept",
                self.target.path.display()
            )));
        }
        self.read(offset, bytes)
    }

    /// Writes `after`, reads it back, and keeps what differs.
    fn replace(&self, offset: u64, before: Vec<u8>, after: Vec<u8>) -> Result<Harm> {
        self.file
            .write_all_at(&after, offset)
            .and_then(|()| sync(&self.file, &self.target.path))
            .map_err(self.failing())?;
        if self.read(offset, after.len() as u64)? != after {
            return Err(Error::NotActing(format!(
                "{} does not hold what was written",
                self.target.path.display()
            )));
        }
        let differs = |at: &usize| before[*at] != after[*at];
        let first = (0..before.len()).find(differs);
        let last = (0..before.len()).rfind(differs);
        let (Some(first), Some(last)) = (first, last) else {
            return Err(self.pointless("nothing changed"));
        };
        Ok(Harm {
            offset: offset + first as u64,
            before: before[first..=last].to_vec(),
            after: after[first..=last].to_vec(),
        })
    }

    fn pointless(&self, why: &str) -> Error {
        let path = self.target.path.display();
        Error::Misuse(format!(
            "{:?} of {path} is not possible: {why}",
            self.damage
        ))
    }

    fn failing(&self) -> impl FnOnce(io::Error) -> Error {
        Error::io(format!("damage {}", self.target.path.display()))
    }
}

/// Where the last byte that is not zero ends.
fn used(file: &File, bytes: u64) -> io::Result<u64> {
    const STEP: u64 = 1 << 20;
    let mut end = bytes;
    let mut buffer = vec![0; usize::try_from(STEP.min(bytes)).unwrap_or(0)];
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let part = &mut buffer[..usize::try_from(end - start).unwrap_or(0)];
        file.read_exact_at(part, start)?;
        if let Some(last) = part.iter().rposition(|b| *b != 0) {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
