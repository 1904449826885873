//! Why a fault could not be injected or undone. All of these are failures of the harness, never of its victim.

use std::io;
use std::time::Duration;

/// The result of a primitive.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a fault could not be injected or undone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine lacks something; see [`crate::capability`].
    #[error("this machine cannot do {what}: {why}")]
    Absent {
        /// The ability.
        what: &'static str,
        /// What was tried and what to do about it.
        why: String,
    },
    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done, as an infinitive with its object.
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program that does part of the work failed.
    #[error("{command} failed ({status}): {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said, cut to a few lines.
        stderr: String,
    },
    /// Something did not happen in time.
    #[error("not within {within:?}: {what}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
    },
    /// The fault was injected, but the probe shows that it does not act.
    #[error("the fault does not act: {0}")]
    NotActing(String),
    /// The request makes no sense in this state, such as pausing a process that has ended.
    #[error("{0}")]
    Misuse(String),
}

impl Error {
    /// An [`Error::Io`] with its context, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// The same for system calls made through rustix.
    pub(crate) fn sys(doing: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let doing = doing.into();
        move |errno| Self::Io {
            doing,
            source: errno.into(),
        }
    }
}
