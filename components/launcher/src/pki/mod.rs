//! Keys and certificates of a whole cluster: authorities for its API, its store and its front proxies, and what each
//! host needs of them.

mod authority;
mod kubeconfig;
mod places;

pub(crate) use authority::{Authority, Leaf};
pub(crate) use kubeconfig::kubeconfig;
pub(crate) use places::{ensure, equip, equip_machine};
