//! Pages in plain HTTP: health, metrics, and for load balancers which services have endpoints here.

mod balancers;
mod listener;

pub(crate) use balancers::serve_balancers;
pub(crate) use listener::{Answer, Handler, serve};
