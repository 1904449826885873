//! Name rules of single kinds.

use mainstay_machinery::field::Path;
use mainstay_machinery::validate::ip;

/// An IP address in canonical form.
pub(super) fn ip_address(name: &str, _prefix: bool) -> Vec<String> {
    ip(&Path::new(""), name)
        .into_iter()
        .map(|error| error.detail)
        .collect()
}
