//! `/healthz` and what is below it.

use mainstay_client::Health;

use crate::healthz::Looked;
use crate::limits::RELIST_PATIENCE;

/// The checks of this kubelet, under upstream's names.
pub(super) fn checks(looked: &Looked) -> Health {
    let health = Health::default();
    // It writes to standard error, at once.
    health.add("log", || Ok(()));
    let looked = looked.clone();
    health.add("syncloop", move || match *looked.lock() {
        Some(at) if at.elapsed() > RELIST_PATIENCE => {
            Err("sync Loop took longer than expected".to_owned())
        }
        _ => Ok(()),
    });
    health
}
