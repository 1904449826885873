//! Histories of operations and the checkers that judge them.
//!
//! [`history`] defines what a run records and how it is written and read: one JSON object per line. [`judge`]
//! runs all checkers over a [`History`] and gives a [`Judgement`]: the verdict about the store, the faults of
//! the harness (kept apart), and one report per checker.
//!
//! | Checker | What it proves wrong |
//! |---|---|
//! | `replay` | order of revisions, real time, every answer, compaction and future errors, ends of leases |
//! | `wgl` | keys whose answers no order explains, whatever the revisions say |
//! | `watches` | filter, order, uniqueness, atomicity, bookmarks, resumption, creation, completeness, previous pairs |
//! | `leases` | ended too early, used after the end, wrong TTLs |
//! | `members` | replicas that differ, members that end behind what was acknowledged, alarming log lines |
//! | `sets` | elements lost, missing for a while, doubled, never added |
//! | `cycles` | cycles of dependencies between transactions (crate `adya`) |
//! | [`coverage`] | runs that did not do what they had to: a fault of the harness, not of the store |
//! | [`shape`] | histories that break the rules of recording: likewise |
//!
//! [`api`] has the same for clients of the Kubernetes API: another history, and checkers of its own.
//!
//! What a recorder of a store's history should know:
//!
//! * One watcher of everything (key and end `"\0"`, from revision 1, with previous pairs) makes verdicts exact:
//!   revisions that no answer claims are then known whole. Without it some histories are "unknown".
//! * A watch proves completeness only up to its last event or progress notification: ask for progress at the
//!   end, when the last write is known.
//! * A last linearizable read of everything shows lost writes that nobody read before.
//! * A lease id should be granted once per run; leases granted twice are not judged.
//! * Values unique in the run tell requests of unknown outcome apart.
//! * The store must be fresh: empty, at revision 1, and nobody else may write to it.
//!
//! Pure: no clock but for the time limit of searches, no threads, no I/O but [`history::read_file`].

#![forbid(unsafe_code)]

pub mod api;
pub mod coverage;
mod cycles;
pub mod history;
mod judge;
mod leases;
pub mod limits;
mod members;
mod model;
pub mod replay;
mod sets;
pub mod shape;
mod verdict;
mod watches;
pub mod wgl;

pub use self::history::{History, Record};
pub use self::judge::{Options, judge, judge_reading};
pub use self::verdict::{Anomaly, AnomalyKind, HarnessFault, Judgement, Report, Verdict};
