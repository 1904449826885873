//! Every limit and deadline of this crate, in one place.

use std::time::Duration;

/// First pause before a name is worked on again after a failure; doubled with each failure in a row.
pub const RETRY_PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest such pause.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1000);
/// Retries over all names of one queue: this many per second,
pub const RETRIES_PER_SECOND: f64 = 10.0;
/// after this many at once. Both figures and the pauses are those of upstream's controllers.
pub const RETRIES_AT_ONCE: f64 = 100.0;

/// Expectations that were not met for this long are given up: the event was lost, or never came.
pub const EXPECTATIONS_TTL: Duration = Duration::from_secs(300);

/// Length of a watch; the server ends it then, and it is resumed.
pub const WATCH_SECONDS: u32 = 290;
/// Objects of one page of the first list.
pub const LIST_PAGE: u32 = 2_000;
/// First pause after a list or a watch failed; doubled up to [`WATCH_PAUSE_MAX`].
pub const WATCH_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest such pause.
pub const WATCH_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Events that wait to be written; further ones are dropped, as upstream drops them.
pub const EVENTS_WAITING_MAX: usize = 1_000;
/// Sources and objects whose events are remembered, to count repeats and to slow down floods.
pub const EVENTS_REMEMBERED_MAX: usize = 4_096;
/// Different messages of one reason about one object within [`EVENTS_SIMILAR_WINDOW`] before they become one event.
pub const EVENTS_SIMILAR_MAX: u32 = 10;
/// See [`EVENTS_SIMILAR_MAX`].
pub const EVENTS_SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// Events of one source about one object at once,
pub const EVENTS_BURST: f64 = 25.0;
/// and then this many per second (one in five minutes).
pub const EVENTS_PER_SECOND: f64 = 1.0 / 300.0;
/// Attempts to write one event.
pub const EVENT_ATTEMPTS: u32 = 3;
/// Longest message of an event, in bytes; the apiserver refuses longer ones.
pub const EVENT_MESSAGE_MAX: usize = 1_024;
