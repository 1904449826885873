//! What a member runs on.

mod disk;
mod engine;
mod env;
mod net;
mod stream;

pub(crate) use self::engine::Engines;
pub(crate) use self::env::{LogLook, SimEnv, SimEnvParts};
pub(crate) use self::net::{Down, Net};
