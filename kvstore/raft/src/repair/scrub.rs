//! Looking for damage while the member runs.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mainstay_engine::{Engine, Scrub};
use mainstay_wal::WalError;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{History, Kind, Progress, is_damage};
use crate::env::Env;
use crate::identity;
use crate::limits::{SCRUB_BYTES_PER_SECOND, SCRUB_NEW_INTERVAL};
use crate::metrics::count;
use crate::node::Inner;

impl<E: Env> Inner<E> {
    /// Notes what new files hold soon after they are made, and reads everything at the start and then every
    /// so often.
    pub(crate) async fn run_scrubber(self: Arc<Self>) {
        let every = self.scrub_interval.unwrap_or(Duration::MAX);
        let mut tick = interval(SCRUB_NEW_INTERVAL.min(every));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<Instant> = None;
        // Files whose content was noted and whose blocks were not checked: they may have been damaged before.
        let mut unread = 0;
        loop {
            let suspected = tokio::select! {
                _ = tick.tick() => false,
                () = self.suspect.notified() => true,
            };
            if self.is_stopping() {
                return;
            }
            if suspected {
                tracing::warn!("a snapshot from here was damaged: another one is made");
                if let Err(e) = self.raft.trigger().snapshot().await {
                    self.fatal(&e);
                }
            }
            let due = last.is_none_or(|last| last.elapsed() >= every);
            let full = suspected || (due && self.scrub_interval.is_some());
            let records = suspected || last.is_none() || unread > 0;
            let this = Arc::clone(&self);
            let scrubbing = self.env.blocking(move || match full {
                true => this.scrub_everything(records),
                false => this.scrub_new(),
            });
            match scrubbing.await.and_then(|result| result) {
                Ok(new) if full => {
                    last = Some(Instant::now());
                    // What was new is read the next time.
                    unread = new;
                    count(&self.shared.metrics.scrubs);
                }
                Ok(new) => unread += new,
                // Damage has been reported where it was found; anything else is tried again.
                Err(e) => tracing::warn!("looking for damage: {e}"),
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.stop.borrow().is_some()
    }

    fn pace(&self) -> impl FnMut(u64) -> ControlFlow<()> {
        move |bytes| {
            let pause =
                Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / SCRUB_BYTES_PER_SECOND);
            self.env.hold(pause);
            self.shared
                .metrics
                .scrubbed_bytes
                .fetch_add(bytes, Ordering::Relaxed);
            if self.is_stopping() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }

    /// Number of files seen for the first time; so do the others.
    fn scrub_new(&self) -> io::Result<u64> {
        let engine = self.shared.engine.load_full();
        self.scrub_engine(&engine, Scrub::New)
    }

    fn scrub_everything(&self, records: bool) -> io::Result<u64> {
        self.scrub_small_files()?;
        let verified = self.wal.verify(&mut self.pace());
        if let Err(e @ WalError::Corrupt { segment, .. }) = &verified {
            let kind = if *segment == 0 {
                Kind::Witness
            } else {
                Kind::Log
            };
            self.shared.damage.report(kind, &e.to_string());
        }
        verified.map_err(io::Error::other)?;
        let engine = self.shared.engine.load_full();
        let new = self.scrub_engine(&engine, Scrub::Everything)?;
        // Of files seen for the first time it is not known what they held: their blocks tell.
        if records {
            self.scrub_engine(&engine, Scrub::Records)?;
            return Ok(0);
        }
        Ok(new)
    }

    fn scrub_engine(&self, engine: &Arc<E::Engine>, what: Scrub) -> io::Result<u64> {
        match engine.scrub(what, &mut self.pace()) {
            Ok(report) => Ok(report.new_files),
            // A snapshot may have replaced the database meanwhile, whose files are gone then.
            Err(_) if !Arc::ptr_eq(engine, &self.shared.engine.load_full()) => Ok(0),
            Err(e) => {
                let e = io::Error::other(e);
                self.shared.damage.note(Kind::Engine, &e);
                Err(e)
            }
        }
    }

    /// Identity and pointer are read only at the start, which may be years away.
    fn scrub_small_files(&self) -> io::Result<()> {
        let damage = &self.shared.damage;
        match identity::load(&*damage.disk, &damage.data_dir) {
            Ok(Some(found)) if found == damage.identity => {}
            Ok(found) => {
                let text = format!("member/identity holds {found:?}");
                damage.report(Kind::Identity, &text);
            }
            Err(e) if is_damage(&e) => damage.report(Kind::Identity, &e.to_string()),
            Err(e) => return Err(e),
        }
        match self.dir.check() {
            Ok(()) => {}
            Err(e) if is_damage(&e) => damage.report(Kind::Pointer, &e.to_string()),
            Err(e) => return Err(e),
        }
        if self.greeter.known.check()? {
            History::count(&*damage.disk, &damage.data_dir, Progress::Rebuilt);
        }
        Ok(())
    }
}
