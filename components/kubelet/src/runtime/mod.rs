//! What is done through the runtime: looking, making, ending.

mod credentials;
mod hooks;
mod images;
mod message;
mod observe;
mod relist;
mod sandbox;
mod start;
mod stop;

pub use images::{Image, Images, with_tag};
pub use observe::observe;
pub use relist::{Relisted, Relister};
pub use sandbox::run_sandbox;
pub use start::{Starting, start};
pub use stop::{Stopping, stop_container, stop_pod};
