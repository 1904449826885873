//! One process per host that starts the others, starts them again when they end, keeps what they say, and answers
//! whoever asks how they are.

mod control;
mod keeper;
mod log;
mod reaper;
mod service;
mod supervisor;

pub(crate) use control::{Request, ask, statuses};
pub(crate) use service::{Service, Status};
pub(crate) use supervisor::{Places, supervise};
