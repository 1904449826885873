//! Something taken for a service that is not written yet.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::registry::Registry;

/// An address or a port that is given back when the claim is dropped without having been kept.
pub(crate) struct Claim {
    registry: Arc<Registry>,
    taken: Option<Taken>,
}

/// What can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Address(String),
    Port(u16),
}

impl Claim {
    pub(super) fn new(registry: Arc<Registry>, taken: Taken) -> Self {
        Self {
            registry,
            taken: Some(taken),
        }
    }

    /// The service is being written: nobody may take this any more, unless the write is known to have failed.
    pub(crate) fn send(mut self) -> Sent {
        Sent {
            registry: Arc::clone(&self.registry),
            taken: self.taken.take(),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            let registry = Arc::clone(&self.registry);
            tokio::spawn(release_later(registry, taken));
        }
    }
}

/// A claim of a service that may be written. If nobody says what became of it, it stays, and the loop that looks for
/// leftovers finds out.
#[must_use]
pub(crate) struct Sent {
    registry: Arc<Registry>,
    taken: Option<Taken>,
}

impl Sent {
    /// The service was not written. Waits until what was taken is free: the next attempt may want the same.
    pub(crate) async fn give_back(self) {
        if let Some(taken) = self.taken {
            let registry = self.registry;
            // In a task of its own: it goes on if the request is given up meanwhile.
            let released = tokio::spawn(release_later(registry, taken));
            // A runtime that ends releases nothing more.
            let _ = released.await;
        }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim({:?})", self.taken)
    }
}

/// Boxed: giving something back is itself a write, and writes give back.
fn release_later(registry: Arc<Registry>, taken: Taken) -> BoxFuture<'static, ()> {
    Box::pin(async move { release(&registry, &taken).await })
}

/// Gives something back. If that fails, the loop that looks for leftovers does it later.
pub(super) async fn release(registry: &Registry, taken: &Taken) {
    let result = match taken {
        Taken::Address(address) => super::addresses::release(registry, address).await,
        Taken::Port(port) => super::ports::release(registry, *port).await,
    };
    if let Err(e) = result {
        tracing::warn!("{taken:?} of a service was not given back yet: {e}");
    }
}
