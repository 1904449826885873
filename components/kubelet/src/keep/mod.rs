//! Keeps the machine from filling up: containers and sandboxes that are over, images that nobody uses, logs.

mod containers;
mod images;
mod log_links;
mod logs;

pub use containers::remove_containers;
pub use images::{ImageGc, Room};
pub use log_links::{link_log, link_name, remove_dangling};
pub use logs::{LogLimits, rotate_logs};
