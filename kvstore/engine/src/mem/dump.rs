//! The checkpoint of the in-memory engine: one file with a checksum.

use super::{Table, Tables};
use crate::{Cf, EngineError};
use bytes::Bytes;
use std::fs;
use std::io::Write;
use std::path::Path;

const FILE: &str = "memory.dump";
const MAGIC: &[u8; 8] = b"msmem\x00\x00\x01";
const CRC_LEN: usize = 4;

pub(super) fn encode(tables: &Tables) -> Result<Vec<u8>, EngineError> {
    let mut out = MAGIC.to_vec();
    for (cf, table) in Cf::ALL.iter().zip(tables) {
        let mut cursor =
            super::TableCursor::new(table.clone(), &[], None, crate::Direction::Ascending);
        while let Some((key, value)) = crate::Cursor::item(&cursor) {
            out.push(cf.index() as u8);
            for part in [key, value] {
                let len = u32::try_from(part.len())
                    .map_err(|_| EngineError::Other("record of 4 GiB or more".into()))?;
                out.extend_from_slice(&len.to_le_bytes());
                out.extend_from_slice(part);
            }
            crate::Cursor::advance(&mut cursor)?;
        }
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(out)
}

pub(super) fn save(dir: &Path, tables: &Tables) -> Result<(), EngineError> {
    let out = encode(tables)?;
    if let Err(e) = fs::create_dir(dir) {
        return Err(match e.kind() {
            std::io::ErrorKind::AlreadyExists => EngineError::Exists(dir.display().to_string()),
            _ => e.into(),
        });
    }
    let mut file = fs::File::create(dir.join(FILE))?;
    file.write_all(&out)?;
    file.sync_all()?;
    fs::File::open(dir)?.sync_all()?;
    Ok(())
}

pub(super) fn load(dir: &Path) -> Result<Tables, EngineError> {
    let file = dir.join(FILE);
    decode(Bytes::from(fs::read(&file)?), &file.display().to_string())
}

pub(super) fn decode(bytes: Bytes, name: &str) -> Result<Tables, EngineError> {
    let corrupt = |what: &str| EngineError::Corrupt(format!("{name}: {what}"));
    let (body, crc) = bytes
        .split_last_chunk::<CRC_LEN>()
        .ok_or_else(|| corrupt("too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(corrupt("checksum differs"));
    }
    let mut rest = body
        .strip_prefix(&MAGIC[..])
        .ok_or_else(|| corrupt("unknown format"))?;
    let mut tables = Tables::default();
    while let Some((&cf, after)) = rest.split_first() {
        let table: &mut Table = tables
            .get_mut(usize::from(cf))
            .ok_or_else(|| corrupt("unknown column family"))?;
        let (key, after) = piece(after).ok_or_else(|| corrupt("cut record"))?;
        let (value, after) = piece(after).ok_or_else(|| corrupt("cut record"))?;
        table.put(key, value);
        rest = after;
    }
    Ok(tables)
}

fn piece(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}
