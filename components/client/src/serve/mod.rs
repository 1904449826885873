//! Pages of a component: health, metrics, configuration. Everything but health is for who may see it by the
//! apiserver's judgement.

mod guard;
mod health;
mod listener;
mod pages;
mod tls;

pub(crate) use guard::Guard;
pub use health::{Health, Page};
pub(crate) use listener::serve;
pub use pages::release;
pub(crate) use pages::{Config, Pages};
pub(crate) use tls::TlsError;
pub(crate) use tls::{from_files, made};
