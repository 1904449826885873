//! Reads a log file, and goes on as long as its container runs if that is asked for. Of a log that was rotated only
//! the newest file is read, as upstream has it; a rotation while it is followed loses nothing.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::body::Bytes;
use mainstay_cri::{ContainerState, ContainerStatusRequest, Runtime};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use super::line::{Line, Stream};
use super::options::LogOptions;
use super::tail::tail_start;
use crate::limits::{
    LOG_CHUNK_BYTES, LOG_LINE_BYTES_MAX, LOG_PAUSE_MAX, LOG_PAUSE_MIN, LOG_STATE_INTERVAL,
};

/// What is read, and to whom.
pub(in crate::server) struct Read {
    pub(in crate::server) runtime: Runtime,
    /// The container that writes it.
    pub(in crate::server) id: String,
    pub(in crate::server) path: PathBuf,
    pub(in crate::server) options: LogOptions,
    pub(in crate::server) to: Sender<Bytes>,
}

/// Why reading is over before the end of the log.
#[derive(Debug)]
enum Stop {
    /// As much was answered as was asked for.
    Full,
    /// Nobody listens any more.
    Gone,
    Failed(String),
}

/// Reads until the end, or until nobody listens.
///
/// # Errors
/// What went wrong, for the reader.
pub(in crate::server) async fn read(what: Read) -> Result<(), String> {
    match try_read(what).await {
        Ok(()) | Err(Stop::Full | Stop::Gone) => Ok(()),
        Err(Stop::Failed(why)) => Err(why),
    }
}

async fn try_read(what: Read) -> Result<(), Stop> {
    let shown = what.path.display().to_string();
    let failed = |what: &str, error: io::Error| Stop::Failed(format!("{what} {shown:?}: {error}"));
    let path = fs::canonicalize(&what.path)
        .await
        .map_err(|error| failed("failed to try resolving symlinks in path", error))?;
    let mut file = Lines::open(&path, what.options.tail)
        .await
        .map_err(|error| failed("failed to open log file", error))?;
    let mut writer = Writer::new(&what.options, what.to.clone());
    // Lines that are still wanted; none that come later.
    let mut left = match what.options.follow {
        true => None,
        false => what.options.tail,
    };
    let mut quiet = Quiet::new();
    // The container has ended, or a newer file has taken over: the file is read once more to its end.
    let (mut ended, mut rotated) = (false, false);
    loop {
        let mut found = false;
        while left != Some(0)
            && let Some(line) = file
                .next()
                .await
                .map_err(|error| failed("failed to read log file", error))?
        {
            found = true;
            left = left.map(|left| left - 1);
            writer.line(&line).await?;
        }
        if (!what.options.follow || ended) && !rotated {
            if left != Some(0) {
                writer.line(&file.rest()).await?;
            }
            return writer.flush().await;
        }
        writer.flush().await?;
        if rotated {
            match Lines::open(&path, None).await {
                Ok(next) => file = next,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("failed to open log file", error)),
            }
            rotated = false;
            continue;
        }
        if found {
            quiet = Quiet::new();
        }
        tokio::select! {
            () = sleep(quiet.pause) => {}
            () = what.to.closed() => return Err(Stop::Gone),
        }
        rotated = file.is_over(&path).await;
        ended = quiet.step() && !runs(&what.runtime, &what.id).await;
    }
}

/// How long nothing has come, and when the container is to be looked at again.
struct Quiet {
    pause: Duration,
    looked: Instant,
}

impl Quiet {
    fn new() -> Self {
        Self {
            pause: LOG_PAUSE_MIN,
            looked: Instant::now(),
        }
    }

    fn step(&mut self) -> bool {
        self.pause = (self.pause * 2).min(LOG_PAUSE_MAX);
        let due = self.looked.elapsed() >= LOG_STATE_INTERVAL;
        if due {
            self.looked = Instant::now();
        }
        due
    }
}

/// A runtime that does not answer is starting anew: its containers run on.
async fn runs(runtime: &Runtime, id: &str) -> bool {
    let request = ContainerStatusRequest {
        container_id: id.to_owned(),
        verbose: false,
    };
    match runtime.call(request).await {
        Ok(answer) => answer
            .status
            .is_some_and(|status| status.state() == ContainerState::Running),
        Err(error) => !error.is_not_found(),
    }
}

/// Whole lines of a file that grows.
struct Lines {
    file: File,
    inode: u64,
    buffer: Vec<u8>,
    /// What of the buffer was given out already,
    begin: usize,
    /// and how far there is no end of line.
    scanned: usize,
    /// Within a line that is too long.
    skipping: bool,
}

impl Lines {
    /// From the beginning, or the last lines.
    async fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        if let Some(lines) = tail {
            let mut whole = file.try_clone().await?.into_std().await;
            let start = tokio::task::spawn_blocking(move || tail_start(&mut whole, lines));
            let start = start.await.map_err(io::Error::other)??;
            file.seek(SeekFrom::Start(start)).await?;
        }
        Ok(Self {
            file,
            inode,
            buffer: Vec::new(),
            begin: 0,
            scanned: 0,
            skipping: false,
        })
    }

    /// The next line with its end; `None` at the end of the file, as it is now.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let unseen = &self.buffer[self.scanned..];
            if let Some(at) = unseen.iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + at + 1;
                let line = self.buffer[self.begin..end].to_vec();
                (self.begin, self.scanned) = (end, end);
                let too_long = line.len() > LOG_LINE_BYTES_MAX;
                if !std::mem::take(&mut self.skipping) && !too_long {
                    return Ok(Some(line));
                }
                continue;
            }
            self.buffer.drain(..self.begin);
            self.begin = 0;
            if self.buffer.len() > LOG_LINE_BYTES_MAX {
                self.buffer.clear();
                self.skipping = true;
            }
            self.scanned = self.buffer.len();
            self.buffer.reserve(LOG_CHUNK_BYTES);
            if self.file.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// What stands after the last end of line.
    fn rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.begin);
        self.buffer.clear();
        (self.begin, self.scanned) = (0, 0);
        match self.skipping {
            true => Vec::new(),
            false => rest,
        }
    }

    /// Whether there is another file in its place, so that this one grows no more.
    async fn is_over(&self, path: &Path) -> bool {
        let now = fs::metadata(path).await;
        now.is_ok_and(|now| now.ino() != self.inode)
    }
}

/// Makes of lines what is answered.
struct Writer {
    options: LogOptions,
    /// Bytes that may still be answered.
    left: u64,
    /// Whether the next line begins one of the program's.
    begins: bool,
    /// Whether a line was understood.
    known: bool,
    waiting: Vec<u8>,
    to: Sender<Bytes>,
}

impl Writer {
    fn new(options: &LogOptions, to: Sender<Bytes>) -> Self {
        Self {
            left: options.limit.unwrap_or(u64::MAX),
            options: options.clone(),
            begins: true,
            known: false,
            waiting: Vec::new(),
            to,
        }
    }

    async fn line(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(line) = Line::parse(bytes) else {
            if self.known {
                tracing::debug!("a line of a log is not understood");
                return Ok(());
            }
            let start = &bytes[..bytes.len().min(100)];
            let start = String::from_utf8_lossy(start);
            let why = format!("failed to get parse function: unsupported log format: {start:?}");
            return Err(Stop::Failed(why));
        };
        self.known = true;
        let begins = self.begins;
        self.begins = line.text.last().is_none_or(|last| *last == b'\n');
        if self.put(&line, begins) {
            self.flush().await?;
            return Err(Stop::Full);
        }
        match self.waiting.len() >= LOG_CHUNK_BYTES {
            true => self.flush().await,
            false => Ok(()),
        }
    }

    /// Whether there is no more room.
    fn put(&mut self, line: &Line<'_>, begins: bool) -> bool {
        let wanted: Option<Stream> = self.options.stream;
        let early = self.options.since.is_some_and(|since| line.time < since);
        if early || wanted.is_some_and(|wanted| wanted != line.stream) {
            return false;
        }
        let prefix = match self.options.timestamps && begins {
            true => line.prefix(),
            false => String::new(),
        };
        for part in [prefix.as_bytes(), line.text] {
            let room = usize::try_from(self.left).unwrap_or(usize::MAX);
            let part = &part[..part.len().min(room)];
            self.waiting.extend_from_slice(part);
            self.left -= part.len() as u64;
        }
        self.left == 0
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.waiting));
        self.to.send(bytes).await.map_err(|_| Stop::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn entry(second: u32, stream: &str, tag: &str, text: &str) -> String {
        format!("2026-01-01T00:00:{second:02}.5Z {stream} {tag} {text}\n")
    }

    fn what(path: &Path, options: LogOptions) -> (Read, mpsc::Receiver<Bytes>) {
        let (to, parts) = mpsc::channel(4);
        let what = Read {
            runtime: Runtime::new("/run/none.sock").expect("a path"),
            id: "id".to_owned(),
            path: path.to_owned(),
            options,
            to,
        };
        (what, parts)
    }

    async fn whole(path: &Path, options: LogOptions) -> Result<String, String> {
        let (what, mut parts) = what(path, options);
        let reading = tokio::spawn(read(what));
        let mut all = Vec::new();
        while let Some(part) = parts.recv().await {
            all.extend_from_slice(&part);
        }
        reading.await.expect("no panic")?;
        Ok(String::from_utf8(all).expect("text"))
    }

    #[tokio::test]
    async fn options_choose_what_is_answered() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        let text = entry(1, "stdout", "F", "one")
            + &entry(2, "stderr", "F", "two")
            + &entry(3, "stdout", "P", "thr")
            + &entry(4, "stdout", "F", "ee")
            + "what is this\n"
            + &entry(5, "stdout", "F", "four");
        std::fs::write(&path, text).expect("written");
        let all = whole(&path, LogOptions::default()).await;
        assert_eq!(all.as_deref(), Ok("one\ntwo\nthree\nfour\n"));
        let with = |change: fn(&mut LogOptions)| {
            let mut options = LogOptions::default();
            change(&mut options);
            let path = path.clone();
            async move { whole(&path, options).await.expect("read") }
        };
        assert_eq!(with(|o| o.tail = Some(1)).await, "four\n");
        assert_eq!(with(|o| o.tail = Some(0)).await, "");
        assert_eq!(with(|o| o.limit = Some(6)).await, "one\ntw");
        let err = with(|o| o.stream = Some(Stream::Stderr)).await;
        assert_eq!(err, "two\n");
        let late = with(|o| o.since = "2026-01-01T00:00:04Z".parse().ok()).await;
        assert_eq!(late, "ee\nfour\n");
        let timed = with(|o| {
            o.timestamps = true;
            o.tail = Some(4);
        });
        assert_eq!(
            timed.await,
            "2026-01-01T00:00:03.500000000Z three\n2026-01-01T00:00:05.500000000Z four\n"
        );
    }

    #[tokio::test]
    async fn what_is_no_log_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        let missing = whole(&path, LogOptions::default()).await;
        assert!(missing.unwrap_err().contains("resolving symlinks"));
        std::fs::write(&path, "no log\n").expect("written");
        let garbage = whole(&path, LogOptions::default()).await;
        assert!(garbage.unwrap_err().contains("unsupported log format"));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        let long = entry(2, "stdout", "F", &"x".repeat(LOG_LINE_BYTES_MAX + 100_000));
        let text = entry(1, "stdout", "F", "one") + &long + &entry(3, "stdout", "F", "three");
        std::fs::write(&path, text).expect("written");
        let all = whole(&path, LogOptions::default()).await;
        assert_eq!(all.as_deref(), Ok("one\nthree\n"));
    }

    #[tokio::test]
    async fn a_rotation_loses_nothing_and_who_leaves_ends_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        std::fs::write(&path, entry(1, "stdout", "F", "one")).expect("written");
        let options = LogOptions {
            follow: true,
            tail: Some(0),
            ..LogOptions::default()
        };
        let (what, mut parts) = what(&path, options);
        let reading = tokio::spawn(read(what));
        let add = |text: String| {
            use std::io::Write as _;
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(&path)
                .expect("open");
            file.write_all(text.as_bytes()).expect("written");
        };
        let mut heard = String::new();
        // The first one may come before the end of the file was found: it is told until it is heard.
        while heard.is_empty() {
            add(entry(2, "stdout", "F", "two"));
            let part = tokio::time::timeout(Duration::from_millis(200), parts.recv()).await;
            if let Ok(Some(part)) = part {
                heard.push_str(std::str::from_utf8(&part).expect("text"));
            }
        }
        let renamed = folder.path().join("0.log.1");
        add(entry(3, "stdout", "F", "three"));
        std::fs::rename(&path, &renamed).expect("renamed");
        add(entry(4, "stdout", "F", "four"));
        while !heard.ends_with("four\n") {
            let part = parts.recv().await.expect("it goes on");
            heard.push_str(std::str::from_utf8(&part).expect("text"));
        }
        assert!(heard.ends_with("two\nthree\nfour\n"), "{heard:?}");
        drop(parts);
        reading.await.expect("no panic").expect("it is over");
    }
}
