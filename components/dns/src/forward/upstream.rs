//! One other server, and whether it answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::time::{sleep, timeout};

use super::exchange;
use crate::figures::ForwardFigures;
use crate::limits::{CHECK_PAUSE, CHECK_TIMEOUT, FAILURES_MAX, PROBE_EVERY};
use crate::wire::{Name, Query, Type};

/// Health of a server, as far as questions to it have shown.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    /// Failures in a row.
    failures: AtomicU32,
    checked: AtomicBool,
    /// The name of the probe that is out: who hears it here has asked itself.
    probe: AtomicU64,
    loops: AtomicBool,
}

impl Upstream {
    pub(super) fn new(address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            address,
            failures: AtomicU32::new(0),
            checked: AtomicBool::new(false),
            probe: AtomicU64::new(rand::random()),
            loops: AtomicBool::new(false),
        })
    }

    pub(super) fn is_down(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= FAILURES_MAX
    }

    /// Whether what is sent there comes back here.
    pub(super) fn is_loop(&self) -> bool {
        self.loops.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure; from then on the server is checked until it answers.
    pub(super) fn failed(self: &Arc<Self>, figures: &Arc<ForwardFigures>) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.checked.swap(true, Ordering::Relaxed) {
            return;
        }
        let (this, figures) = (Arc::clone(self), Arc::clone(figures));
        tokio::spawn(async move { this.check(&figures).await });
    }

    async fn check(&self, figures: &ForwardFigures) {
        loop {
            sleep(CHECK_PAUSE).await;
            match timeout(CHECK_TIMEOUT, exchange::check(self.address)).await {
                Ok(Ok(())) => break,
                _ => figures.check_failed(self.address),
            }
        }
        self.checked.store(false, Ordering::Relaxed);
        self.answered();
    }

    /// Asks for a name that nobody else knows, at the start and as long as it comes back here.
    pub(super) async fn probed(&self) {
        loop {
            let number = rand::random();
            self.probe.store(number, Ordering::Relaxed);
            self.loops.store(false, Ordering::Relaxed);
            let query = Query {
                name: probe_name(number),
                kind: Type::HINFO,
                class: 1,
            };
            let _ = timeout(CHECK_TIMEOUT, exchange::probe(self.address, query)).await;
            if !self.is_loop() {
                return;
            }
            sleep(PROBE_EVERY).await;
        }
    }

    /// Looks whether a question is this server's probe.
    pub(super) fn hears(&self, name: &Name) -> bool {
        if *name != probe_name(self.probe.load(Ordering::Relaxed)) {
            return false;
        }
        if !self.loops.swap(true, Ordering::Relaxed) {
            let address = self.address;
            tracing::error!(%address, "what this server is asked comes back here: it is not asked any more");
        }
        true
    }
}

/// Two numbers, as CoreDNS' probes have.
fn probe_name(number: u64) -> Name {
    let name = Name::from_text(&format!("{}.{}.", number >> 32, number & 0xffff_ffff));
    // Two short labels of digits are a name.
    name.unwrap_or_default()
}
