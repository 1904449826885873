//! Mistakes on purpose in the apiserver. A checker is trusted only after it caught them.
//!
//! As `kvstore/planted`, for the other process: each [`Mistake`] is written at the one place where it would happen,
//! behind [`makes`]. Without the feature `planted` that is a constant `false` which the compiler removes: no released
//! binary contains them. With it, a process makes the mistake that the environment variable [`VARIABLE`] names at the
//! first question, and no other.

#![forbid(unsafe_code)]

mod mistake;

pub use self::mistake::{Mistake, UnknownMistake};

/// The environment variable that names the mistake of a process built with the feature `planted`.
pub const VARIABLE: &str = "MAINSTAY_APISERVER_PLANTED";

/// Of mistakes that are made now and then, one time in so many.
pub const SELDOM: i64 = 20;
/// They are not made before this revision: a cluster has to begin.
pub const FOUNDED: i64 = 400;
/// How far an early bookmark is ahead, in revisions.
pub const AHEAD: i64 = 10;
/// How far a list of the future is, in revisions.
pub const FUTURE: i64 = 200;
/// Reads that a server that was started takes for current before it asks the store.
pub const FIRST_READS: u64 = 10;

/// Whether this process makes the mistake.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn makes(_mistake: Mistake) -> bool {
    false
}

/// Whether this process makes the mistake.
///
/// # Panics
///
/// If the environment names a mistake that does not exist: a test that plants nothing must not pass.
#[cfg(feature = "planted")]
pub fn makes(mistake: Mistake) -> bool {
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<Mistake>> = OnceLock::new();
    let planted = PLANTED.get_or_init(|| {
        let name = std::env::var(VARIABLE).ok()?;
        match name.parse() {
            Ok(mistake) => Some(mistake),
            Err(e) => panic!("{VARIABLE}: {e}"),
        }
    });
    *planted == Some(mistake)
}

/// Whether this process makes the mistake, and now is the time.
#[inline(always)]
pub fn makes_seldom(mistake: Mistake, revision: i64) -> bool {
    makes(mistake) && revision > FOUNDED && revision % SELDOM == 0
}
