//! Tar files (POSIX ustar) in which nothing depends on when, where or by whom they were made.

use std::io::{self, Write};

/// Bytes of a block.
const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// Its content, and whether it is a program.
    File {
        content: &'a [u8],
        mode: u32,
    },
    Folder {
        mode: u32,
    },
    /// What it points to.
    Link(&'a str),
}

/// Writes a tar file, one entry after another.
#[derive(Debug)]
pub(crate) struct Archive<W> {
    to: W,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to }
    }

    /// Adds an entry. `path` has no slash at its beginning.
    ///
    /// # Errors
    /// When a path is longer than the format allows, or writing fails.
    pub(crate) fn add(&mut self, path: &str, entry: Entry<'_>) -> io::Result<()> {
        let (kind, mode, content, link) = match entry {
            Entry::File { content, mode } => (b'0', mode, content, ""),
            Entry::Folder { mode } => (b'5', mode, &[][..], ""),
            Entry::Link(target) => (b'2', 0o777, &[][..], target),
        };
        let path = match kind {
            b'5' => format!("{path}/"),
            _ => path.to_owned(),
        };
        let header = header(&path, kind, mode, content.len(), link)?;
        self.to.write_all(&header)?;
        self.to.write_all(content)?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        self.to.write_all(&[0; BLOCK][..rest])
    }

    /// Writes the end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }
}

fn header(path: &str, kind: u8, mode: u32, size: usize, link: &str) -> io::Result<[u8; BLOCK]> {
    let mut header = [0; BLOCK];
    let (prefix, name) = split(path)?;
    field(&mut header[..100], name)?;
    field(&mut header[100..108], &format!("{mode:07o}"))?;
    // Owner and group: root.
    field(&mut header[108..116], "0000000")?;
    field(&mut header[116..124], "0000000")?;
    field(&mut header[124..136], &format!("{size:011o}"))?;
    field(&mut header[136..148], "00000000000")?;
    header[148..156].fill(b' ');
    header[156] = kind;
    field(&mut header[157..257], link)?;
    header[257..265].copy_from_slice(b"ustar\x0000");
    field(&mut header[345..500], prefix)?;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// Into a prefix of at most 155 bytes and a name of at most 100.
fn split(path: &str) -> io::Result<(&str, &str)> {
    if path.len() <= 100 {
        return Ok(("", path));
    }
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let at = slashes.find(|at| *at <= 155 && path.len() - at - 1 <= 100);
    let parts = at.map(|at| (&path[..at], &path[at + 1..]));
    parts
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| too_long(path))
}

fn field(field: &mut [u8], text: &str) -> io::Result<()> {
    match field.get_mut(..text.len()) {
        Some(place) => {
            place.copy_from_slice(text.as_bytes());
            Ok(())
        }
        None => Err(too_long(text)),
    }
}

fn too_long(text: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{text:?} is too long for a tar file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn tar_reads_what_is_written() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let mut archive = Archive::new(Vec::new());
        let entries = [
            ("bin", Entry::Folder { mode: 0o755 }),
            (
                "bin/a",
                Entry::File {
                    content: b"hello",
                    mode: 0o755,
                },
            ),
            ("bin/b", Entry::Link("a")),
            (
                &long,
                Entry::File {
                    content: &[7; 1024],
                    mode: 0o644,
                },
            ),
        ];
        for (path, entry) in entries {
            archive.add(path, entry).expect("it fits");
        }
        let bytes = archive.finish().expect("it fits");
        let dir = tempfile::tempdir().expect("there is room");
        let file = dir.path().join("a.tar");
        std::fs::write(&file, bytes).expect("there is room");
        let listed = Command::new("tar").arg("-tvf").arg(&file).output();
        let listed = listed.expect("there is tar");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let lines: Vec<Vec<&str>> = listed
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(lines.len(), 4, "{listed}");
        assert_eq!((lines[0][0], lines[0][5]), ("drwxr-xr-x", "bin/"));
        assert_eq!(
            (lines[1][0], lines[1][2], lines[1][3]),
            ("-rwxr-xr-x", "5", "1970-01-01")
        );
        assert_eq!(lines[2][5..], ["bin/b", "->", "a"]);
        assert_eq!((lines[3][2], lines[3][5]), ("1024", long.as_str()));
        let too_long = "x".repeat(300);
        let mut archive = Archive::new(Vec::new());
        assert!(archive.add(&too_long, Entry::Link("a")).is_err());
    }
}
