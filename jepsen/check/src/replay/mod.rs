//! Replay in the order of revisions, O(n log n): every writing request names the revision it made, so the
//! total order is in the answers. What nobody claims is given to a request of unknown outcome or to the
//! end of a lease; alternatives are searched. Then every answer must be what a correct store says at
//! that revision, and revisions must respect real time.

mod answers;
mod authors;
mod errors;
mod evidence;
mod index;
mod open;
mod sweep;
mod time;

use crate::history::History;
use crate::model::Change;
use crate::verdict::Report;

pub(crate) use self::index::Index;
pub(crate) use self::time::Compactions;

/// Who made a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Author {
    /// An acknowledged operation, by its position in the history.
    Acked(u32),
    /// An operation of unknown outcome.
    Unknown(u32),
    /// A lease ran out.
    Expired(i64),
    Nobody,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) author: Author,
    pub(crate) changes: Vec<Change>,
    /// Others could have made this revision, with other effects.
    pub(crate) ambiguous: bool,
}

/// The log as reconstructed.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// By revision; 0 and 1 are empty.
    pub(crate) entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn last(&self) -> i64 {
        i64::try_from(self.entries.len()).map_or(i64::MAX, |len| len - 1)
    }

    pub(crate) fn entry(&self, revision: i64) -> Option<&Entry> {
        self.entries.get(usize::try_from(revision).ok()?)
    }
}

/// Checks everything that revisions decide.
pub fn check(history: &History) -> Report {
    run(history, &Index::new(history)).0
}

pub(crate) fn run(history: &History, index: &Index) -> (Report, Log) {
    let mut report = Report::new("replay");
    let log = sweep::Sweep::new(history, index, &mut report).run();
    time::check(history, &log, &mut report);
    errors::check(history, &mut report);
    report.count("operations", history.operations.len());
    report.count("revisions", log.entries.len().saturating_sub(2));
    (report, log)
}
