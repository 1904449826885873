//! Something taken for a service that is not written yet.

use std::sync::Arc;

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

    /// The service was written.
    pub(crate) fn keep(mut self) {
        self.taken = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(taken) = self.taken.take() {
            let registry = Arc::clone(&self.registry);
            tokio::spawn(async move { release(&registry, &taken).await });
        }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim({:?})", self.taken)
    }
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
