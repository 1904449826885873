//! The servers, and which of them gets the next connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::watch;

/// One server.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    ready: AtomicBool,
    connections: AtomicUsize,
    /// Changes whenever its connections are to be cut.
    cuts: watch::Sender<u64>,
}

impl Backend {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            ready: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            cuts: watch::channel(0).0,
        }
    }

    /// Says whether that is news.
    pub(super) fn set_ready(&self, ready: bool) -> bool {
        let changed = self.ready.swap(ready, Ordering::Relaxed) != ready;
        if changed && !ready {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
        changed
    }

    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }
}

/// Counts a connection while it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<Backend>);

impl Counted {
    pub(super) fn new(backend: &Arc<Backend>) -> Self {
        backend.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(backend))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// In the order in which they are to be tried: those that are ready first, the preferred one before all others, then
/// by how few connections they have.
pub(super) fn order(backends: &[Arc<Backend>], preferred: Option<SocketAddr>) -> Vec<Arc<Backend>> {
    let mut order = backends.to_vec();
    order.sort_by_key(|backend| {
        (
            !backend.ready.load(Ordering::Relaxed),
            Some(backend.address) != preferred,
            backend.connections.load(Ordering::Relaxed),
        )
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_connection_goes_to_a_ready_server_with_few_others() {
        let addresses: Vec<SocketAddr> = (1..=3)
            .map(|last| SocketAddr::from(([10, 0, 0, last], 6443)))
            .collect();
        let all: Vec<Arc<Backend>> = addresses
            .iter()
            .map(|address| Arc::new(Backend::new(*address)))
            .collect();
        let first = |preferred| order(&all, preferred)[0].address;
        assert!(all[1].set_ready(true) && !all[1].set_ready(true));
        assert_eq!(first(None), addresses[1]);
        all[2].set_ready(true);
        let one = Counted::new(&all[1]);
        assert_eq!(first(None), addresses[2]);
        assert_eq!(first(Some(addresses[1])), addresses[1]);
        assert_eq!(first(Some(addresses[0])), addresses[2], "it is not ready");
        drop(one);
        let mut cuts = all[1].cuts();
        assert!(!cuts.has_changed().expect("open"));
        all[1].set_ready(false);
        assert!(cuts.has_changed().expect("open"));
        cuts.mark_unchanged();
    }
}
