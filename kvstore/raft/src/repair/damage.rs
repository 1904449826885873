//! Reporting damage: the note first, then the end of the member.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mainstay_engine::EngineError;
use mainstay_mvcc::MvccError;
use mainstay_wal::{Disk, WalError};
use tokio::sync::watch;

use super::{Case, History, Kind};
use crate::codec::Malformed;
use crate::error::StopReason;
use crate::identity::Identity;

/// Where all parts of a member report damage.
pub(crate) struct Damage {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) data_dir: PathBuf,
    pub(crate) identity: Identity,
    /// The incarnation after a repair.
    pub(crate) next_incarnation: u64,
    pub(crate) stop: watch::Sender<Option<StopReason>>,
    pub(crate) reported: AtomicBool,
}

impl fmt::Debug for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Damage")
            .field("reported", &self.reported)
            .finish_non_exhaustive()
    }
}

impl Damage {
    /// Leaves the note and ends the member. Only the first report counts. Waits for the disk.
    pub(crate) fn report(&self, kind: Kind, what: &str) {
        if self.reported.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(
            kind = kind.name(),
            what,
            "data is damaged: this member stops serving and is repaired from its peers"
        );
        let case = Case {
            kind,
            what: what.to_owned(),
            incarnation: self.next_incarnation,
            former: Some(self.identity),
        };
        let reason = match case.store(&*self.disk, &self.data_dir) {
            Ok(()) => {
                History::found(&*self.disk, &self.data_dir, kind);
                StopReason::Damaged(format!("{kind}: {what}"))
            }
            // Without the note the damage must be found again at the next start.
            Err(e) => StopReason::Fatal(format!("damaged {kind}: {what}; no note of it: {e}")),
        };
        self.stop.send_replace(Some(reason));
    }

    /// Reports an error if it tells of damage.
    pub(crate) fn note(&self, kind: Kind, e: &io::Error) {
        if is_damage(e) {
            self.report(kind, &e.to_string());
        }
    }

    /// Whether damage was reported.
    pub(crate) fn is_reported(&self) -> bool {
        self.reported.load(Ordering::Acquire)
    }
}

/// Whether an error says that stored bytes cannot be what was written, rather than that they cannot be had.
pub(crate) fn is_damage(e: &io::Error) -> bool {
    if e.kind() == io::ErrorKind::InvalidData {
        return true;
    }
    let Some(inner) = e.get_ref() else {
        return false;
    };
    if let Some(e) = inner.downcast_ref::<EngineError>() {
        return matches!(e, EngineError::Corrupt(_));
    }
    if let Some(e) = inner.downcast_ref::<MvccError>() {
        return matches!(
            e,
            MvccError::Corrupt(_) | MvccError::Engine(EngineError::Corrupt(_))
        );
    }
    if let Some(e) = inner.downcast_ref::<WalError>() {
        return matches!(e, WalError::Corrupt { .. });
    }
    if let Some(e) = inner.downcast_ref::<io::Error>() {
        return is_damage(e);
    }
    inner.is::<Malformed>()
}
