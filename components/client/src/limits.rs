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

/// Length of a watch; the server ends it then, and it is resumed.
pub const WATCH_SECONDS: u32 = 290;
/// Objects of one page of the first list.
pub const LIST_PAGE: u32 = 2_000;
/// First pause after a list or a watch failed; doubled up to [`WATCH_PAUSE_MAX`].
pub const WATCH_PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest such pause.
pub const WATCH_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long lists and watches of a kind may fail before who needs it is not well.
pub const WATCH_FAILS_MAX: Duration = Duration::from_secs(60);
/// Failures that are further apart than this are not in a row: several servers may be asked in vain, with a pause.
pub const WATCH_FAILURES_APART: Duration = Duration::from_secs(120);
/// How long work on one name may last before its worker is taken to be stuck: more than any round needs.
pub const WORK_STUCK: Duration = Duration::from_secs(600);

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

/// Time to connect to an apiserver, TLS included, before the next one is tried.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until the head of an answer; streams may last longer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection on which nothing came for this long is given up: watches get a bookmark every minute.
pub const SERVER_SILENT_MAX: Duration = Duration::from_secs(90);
/// Time after which TCP asks whether the other end is still there.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Connections kept for later requests, to one server under one identity,
pub const CONNECTIONS_IDLE_MAX: usize = 64;
/// and for how long.
pub const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(60);
/// Requests at a time of one process unless it says otherwise.
pub const REQUESTS_MAX: usize = 64;

/// Between two looks at the files with certificates, keys and authorities that a kubeconfig names; upstream's kubelet's.
pub const CREDENTIALS_LOOK: Duration = Duration::from_secs(10);
/// What is read of each to see whether it has changed.
pub const CREDENTIAL_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Life of a token that is asked for; the server may give another one.
pub const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// A new token is asked for after this part of the old one's life.
pub const TOKEN_RENEWAL: f64 = 0.8;
/// First pause after a token was not given; doubled up to [`TOKEN_PAUSE_MAX`].
pub const TOKEN_PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest such pause.
pub const TOKEN_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Shortest time between two tokens, however often the first is refused.
pub const TOKEN_EVERY_MIN: Duration = Duration::from_secs(10);

/// Part of a lease's duration, at its end, in which its holder writes no more: for clocks that run at different
/// speeds and requests that are on their way.
pub const FENCE_MARGIN: f64 = 0.1;

/// Connections at a time of who looks at pages,
pub const PAGE_CONNECTIONS_MAX: usize = 128;
/// and how long each lasts at most.
pub const PAGE_CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Time for a TLS handshake, and for the head of a request.
pub const PAGE_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it is remembered who may see a page; upstream's.
pub const VERDICT_LIFE: Duration = Duration::from_secs(10);
/// Verdicts that are remembered.
pub const VERDICTS_MAX: usize = 256;

/// Time for work under way after the end was announced.
pub const WORK_GRACE: Duration = Duration::from_secs(10);
/// Time to write the last events.
pub const EVENTS_GRACE: Duration = Duration::from_secs(3);
