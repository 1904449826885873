//! Bugs on purpose. A checker is trusted only after it caught them.
//!
//! Each [`Bug`] is a mistake that real stores have made, written into ours at the one place where it would
//! happen, behind [`has`]. Without the feature `planted` that is a constant `false` which the compiler
//! removes: no released binary contains the bugs. With it, a process has the bug that [`plant`] named, or
//! the environment variable [`VARIABLE`] at the first question, and no other.

#![forbid(unsafe_code)]

mod bug;

pub use self::bug::{Bug, UnknownBug};

/// The environment variable that names the bug a process built with the feature `planted` has.
pub const VARIABLE: &str = "MAINSTAY_PLANTED";

/// Whether this build can have bugs on purpose.
pub const POSSIBLE: bool = cfg!(feature = "planted");

/// Whether this process has the bug.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn has(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use self::planted::{has, plant};

#[cfg(feature = "planted")]
mod planted {
    use crate::{Bug, VARIABLE};
    use std::sync::OnceLock;

    static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();

    /// Whether this process has the bug.
    ///
    /// # Panics
    ///
    /// If the environment names a bug that does not exist: a test that plants nothing must not pass.
    pub fn has(bug: Bug) -> bool {
        let planted = PLANTED.get_or_init(|| {
            let name = std::env::var(VARIABLE).ok()?;
            match name.parse() {
                Ok(bug) => Some(bug),
                Err(e) => panic!("{VARIABLE}: {e}"),
            }
        });
        *planted == Some(bug)
    }

    /// Gives this process a bug. Must come before the first question; answers whether it did.
    pub fn plant(bug: Bug) -> bool {
        PLANTED.set(Some(bug)).is_ok()
    }
}
