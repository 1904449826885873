//! Processes by id and start time: an id alone may by now be somebody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::limits::POLL_PAUSE;

/// One that was started once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Of the kernel's clock, in its ticks.
    started: u64,
}

impl Process {
    /// One that runs now.
    pub(crate) fn of(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
        Self::parse(&stat)
    }

    /// The second field is a name, which may contain anything; what follows its last bracket does not.
    fn parse(stat: &str) -> Option<Self> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        let rest = stat.rsplit_once(')')?.1;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Ended, but nobody has asked for its status yet.
        if matches!(fields.first(), Some(&("Z" | "X"))) {
            return None;
        }
        let started = fields.get(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Reads one that was written down, if it still runs.
    pub(crate) fn recorded(path: &Path) -> Option<Self> {
        let text = fs::read(path).ok()?;
        let process: Self = serde_json::from_slice(&text).ok()?;
        process.runs().then_some(process)
    }

    pub(crate) fn record(self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(&self).context("a process")?;
        files::write(path, &text, 0o600)
    }

    pub(crate) fn runs(self) -> bool {
        Self::of(&self.pid.to_string()) == Some(self)
    }

    /// A file below `/proc` of it.
    pub(crate) fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// Sends a signal; nothing if it has ended.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        if !self.runs() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("a process has no id")?;
        match kill_process(pid, signal) {
            Err(error) if error != rustix::io::Errno::SRCH => {
                Err(error).with_context(|| format!("signalling process {}", self.pid))
            }
            _ => Ok(()),
        }
    }

    /// Waits until it has ended.
    pub(crate) fn ended(self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        while self.runs() {
            if begun.elapsed() > patience {
                bail!(
                    "process {} has not ended after {} s",
                    self.pid,
                    patience.as_secs()
                );
            }
            std::thread::sleep(POLL_PAUSE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let own = Process::of("self").expect("this one runs");
        assert!(own.runs());
        let other = Process {
            started: own.started + 1,
            ..own
        };
        assert!(!other.runs());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid.json");
        own.record(&path).expect("written");
        assert_eq!(Process::recorded(&path), Some(own));
        other.record(&path).expect("written");
        assert_eq!(Process::recorded(&path), None);
    }

    #[test]
    fn names_with_spaces_and_brackets_do_not_matter() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        let process = Process::parse(&format!("77 (a) b (c)) {fields}")).expect("it is parsed");
        assert_eq!((process.pid, process.started), (77, 4242));
        assert_eq!(Process::parse(&format!("77 (a) Z{}", &fields[1..])), None);
        assert_eq!(Process::parse("nonsense"), None);
    }
}
