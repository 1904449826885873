//! The last words of a container.

use std::io::SeekFrom;
use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::limits::{LAST_WORDS_BYTES_MAX, LAST_WORDS_LOG_BYTES_MAX, LAST_WORDS_LOG_LINES_MAX};
use crate::observed::SeenContainer;

/// What it wrote into its termination log, or said at the end of its log if it may count for that.
pub(super) async fn last_words(seen: &SeenContainer, file: Option<String>) -> Option<String> {
    let mut words = String::new();
    if let Some(file) = file {
        // The container could have put a pipe there: only files are read.
        words = tail(Path::new(&file), LAST_WORDS_BYTES_MAX)
            .await
            .unwrap_or_default();
    }
    if words.is_empty() && seen.failed() && seen.message_from_log() {
        let log = tail(Path::new(&seen.log_path), LAST_WORDS_LOG_BYTES_MAX * 4).await;
        words = said(&log.unwrap_or_default());
    }
    (!words.is_empty()).then_some(words)
}

async fn tail(path: &Path, bytes: usize) -> Option<String> {
    let metadata = tokio::fs::symlink_metadata(path).await.ok()?;
    if !metadata.is_file() {
        return None;
    }
    let mut file = File::open(path).await.ok()?;
    let from = metadata.len().saturating_sub(bytes as u64);
    file.seek(SeekFrom::Start(from)).await.ok()?;
    let mut text = Vec::with_capacity(bytes);
    file.take(bytes as u64).read_to_end(&mut text).await.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The last lines of a log in the runtime's form: `time stream P|F text`.
fn said(log: &str) -> String {
    let mut text = String::new();
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(LAST_WORDS_LOG_LINES_MAX);
    for line in &lines[from..] {
        let mut parts = line.splitn(4, ' ');
        let (Some(_), Some(_), Some(tag), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        text.push_str(rest);
        if tag != "P" {
            text.push('\n');
        }
    }
    let mut from = text.len().saturating_sub(LAST_WORDS_LOG_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.split_off(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_without_its_frame() {
        let log = "2026-01-01T00:00:00Z stdout F first\n2026-01-01T00:00:00Z stderr P half \n\
                   2026-01-01T00:00:00Z stderr F line\nbroken";
        assert_eq!(said(log), "first\nhalf line\n");
        let long = "2026-01-01T00:00:00Z stdout F 0123456789\n".repeat(1000);
        assert_eq!(said(&long).len(), 80 * 11);
    }

    #[tokio::test]
    async fn a_link_in_place_of_the_termination_log_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "secret").expect("written");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&secret, &link).expect("linked");
        assert_eq!(tail(&link, 10).await, None);
        assert_eq!(tail(&secret, 3).await.as_deref(), Some("ret"));
    }
}
