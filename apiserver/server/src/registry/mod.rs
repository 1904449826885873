//! One implementation of every verb for every resource.
//!
//! What differs between kinds is in tables (`mainstay-schema`, `mainstay-kinds`) and in a few hooks; nothing here
//! knows a kind but for subresources that are actions (`sub`).

mod codec;
mod continuation;
mod convert;
mod create;
mod delete;
mod dispatch;
mod keys;
mod known;
mod list;
mod metrics_v1;
mod parsed;
mod pieces;
mod read;
mod route;
mod scaling;
mod sub;
mod table;
mod update;
mod watch;
mod write;

pub(crate) use codec::{decoder, parse_parts};
pub(crate) use create::Create;
pub(crate) use delete::{Delete, DeleteOptions};
pub(crate) use dispatch::Registry;
pub(crate) use keys::Keys;
pub(crate) use parsed::{Parsed, parse};
pub(crate) use route::unknown_method;
pub(crate) use table::millis;
pub(crate) use update::{Change, Update};
pub(crate) use write::{after, now, of_resource, store_failure};
