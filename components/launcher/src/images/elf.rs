//! What a program needs to be loaded, from its own header (64 bits, little-endian).

/// Of the tables that are read at most.
const ENTRIES_MAX: usize = 4_096;

const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const INTERPRETER: u64 = 3;

const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const RPATH: u64 = 15;
const RUNPATH: u64 = 29;

/// What a program or library asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// What loads it: a path.
    pub(crate) interpreter: Option<String>,
    /// Names of libraries.
    pub(crate) libraries: Vec<String>,
    /// Folders where they are looked for first.
    pub(crate) folders: Vec<String>,
}

/// Part of a file that is loaded at an address.
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

/// What is in the file, if it is a program or a library of this kind of machine. Static programs need nothing.
pub(crate) fn needs(file: &[u8]) -> Option<Needs> {
    // 64 bits, little-endian.
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count) = (word(file, 32)?, half(file, 54)?, half(file, 56)?);
    let mut needs = Needs::default();
    let (mut loaded, mut dynamic) = (Vec::new(), None);
    for number in 0..count {
        let at = table.checked_add(number.checked_mul(size)?)?;
        let (kind, offset) = (
            word(file, at)? & 0xffff_ffff,
            word(file, at.checked_add(8)?)?,
        );
        let (address, length) = (
            word(file, at.checked_add(16)?)?,
            word(file, at.checked_add(32)?)?,
        );
        match kind {
            LOAD => loaded.push(Segment {
                address,
                offset,
                size: length,
            }),
            DYNAMIC => dynamic = Some((offset, length)),
            INTERPRETER => needs.interpreter = Some(text(file, offset)?),
            _ => {}
        }
    }
    if let Some((offset, length)) = dynamic {
        linked(file, &loaded, offset, length, &mut needs)?;
    }
    Some(needs)
}

fn linked(
    file: &[u8],
    loaded: &[Segment],
    from: u64,
    length: u64,
    needs: &mut Needs,
) -> Option<()> {
    let mut found = Vec::new();
    let mut strings = None;
    let count = usize::try_from(length / 16).ok()?.min(ENTRIES_MAX);
    for number in 0..count {
        let at = from.checked_add(u64::try_from(number).ok()? * 16)?;
        let (tag, value) = (word(file, at)?, word(file, at.checked_add(8)?)?);
        match tag {
            0 => break,
            STRINGS => strings = Some(value),
            NEEDED | RPATH | RUNPATH => found.push((tag, value)),
            _ => {}
        }
    }
    if found.is_empty() {
        return Some(());
    }
    let address = strings?;
    let within = |s: &&Segment| address >= s.address && address - s.address < s.size;
    let segment = loaded.iter().find(within)?;
    let strings = segment.offset.checked_add(address - segment.address)?;
    for (tag, value) in found {
        let text = text(file, strings.checked_add(value)?)?;
        match tag {
            NEEDED => needs.libraries.push(text),
            _ => needs.folders.extend(text.split(':').map(str::to_owned)),
        }
    }
    Some(())
}

fn word(file: &[u8], at: u64) -> Option<u64> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    Some(u64::from_le_bytes(*rest.first_chunk()?))
}

fn half(file: &[u8], at: u64) -> Option<u64> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    Some(u16::from_le_bytes(*rest.first_chunk()?).into())
}

fn text(file: &[u8], at: u64) -> Option<String> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_needs_the_c_library() {
        let own = std::env::current_exe().expect("it runs");
        let file = std::fs::read(own).expect("it is there");
        let needs = needs(&file).expect("it is a program");
        assert!(
            needs
                .libraries
                .iter()
                .any(|name| name.starts_with("libc.so"))
        );
        assert!(
            needs
                .interpreter
                .is_some_and(|path| path.contains("ld-linux"))
        );
    }

    #[test]
    fn what_is_no_program_needs_nothing_and_broken_ones_do_no_harm() {
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        let own = std::env::current_exe().expect("it runs");
        let mut file = std::fs::read(own).expect("it is there");
        file.truncate(8_192);
        for at in 0..file.len().min(1_024) {
            let before = file[at];
            for value in [0, 0x7f, 0xff] {
                file[at] = value;
                let _ = needs(&file);
            }
            file[at] = before;
            let _ = needs(&file[..at]);
        }
    }
}
