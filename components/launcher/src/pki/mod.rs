//! Keys and certificates of a whole cluster: authorities for its API, its store and its front proxies, and what each
//! host needs of them.

mod authority;
mod kubeconfig;
mod pin;
mod places;
mod token;

pub(crate) use authority::{Authority, Leaf};
pub(crate) use kubeconfig::{kubeconfig, public_kubeconfig, token_kubeconfig};
pub(crate) use pin::Pin;
pub(crate) use places::{ensure, equip, equip_machine};
pub(crate) use token::{Token, is_token_id};
