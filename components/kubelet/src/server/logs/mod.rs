//! Logs of containers, as the runtime wrote them: which file, from where in it, what of each line.

mod choose;
mod line;
mod options;
mod read;
mod tail;

pub use choose::choose;
pub use line::{Line, Stream};
pub use options::{LogOptions, OptionsError};
pub(super) use read::{Read, read};
pub use tail::tail_start;
