//! The messages of CRI v1, with the field numbers of its API. Fields and messages for Windows are left out, as a
//! runtime on Linux neither sends nor reads them; what else a newer runtime sends is skipped.

mod container;
mod image;
mod runtime;
mod sandbox;
mod security;
mod stats;
mod stream;

pub use container::*;
pub use image::*;
pub use runtime::*;
pub use sandbox::*;
pub use security::*;
pub use stats::*;
pub use stream::*;
