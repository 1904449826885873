//! What processes say, in files that do not grow for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::limits::{LOG_BYTES_MAX, LOG_CHUNK, LOGS_KEPT};

/// `NAME.log`, and older ones as `NAME.log.1` and on.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl Log {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::limited(path, LOG_BYTES_MAX)
    }

    fn limited(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            bytes_max,
        })
    }

    /// A new file begins only between lines.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes >= self.bytes_max && bytes.ends_with(b"\n") {
            self.turn()?;
        }
        // Without an end of line too: nobody may fill a disk.
        if self.bytes >= self.bytes_max.saturating_mul(2) {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        for number in (0..LOGS_KEPT).rev() {
            let from = numbered(&self.path, number);
            match std::fs::rename(&from, numbered(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::limited(&self.path, self.bytes_max)?;
        Ok(())
    }

    /// Takes over everything that comes out of a pipe, until nobody holds its other end.
    pub(crate) async fn follow(mut self, mut pipe: Receiver) {
        let mut buffer = vec![0; LOG_CHUNK];
        while let Ok(count) = pipe.read(&mut buffer).await {
            if count == 0 {
                return;
            }
            // A full disk loses lines; it must not stop the process that writes them.
            let _ = self.write(&buffer[..count]);
        }
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_lines_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.log");
        let mut log = Log::limited(&path, 10).expect("opened");
        for number in 0..20 {
            log.write(format!("line {number:02}\n").as_bytes())
                .expect("written");
        }
        let names = std::fs::read_dir(folder.path()).expect("readable");
        assert_eq!(names.count(), 1 + LOGS_KEPT as usize);
        let newest = std::fs::read_to_string(numbered(&path, 1)).expect("kept");
        assert_eq!(newest, "line 18\nline 19\n");
        let mut log = Log::limited(&path, 10).expect("opened again");
        log.write(&[b'x'; 25]).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 0);
    }
}
