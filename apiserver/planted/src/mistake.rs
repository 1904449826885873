//! The mistakes.

use std::fmt;
use std::str::FromStr;

macro_rules! mistakes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A mistake that can be compiled in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mistake {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Mistake {
            /// Every mistake there is.
            pub const ALL: &'static [Mistake] = &[$(Mistake::$variant,)+];

            /// The name by which it is asked for.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Mistake::$variant => $name,)+
                }
            }

            /// What is wrong, for tables.
            pub const fn what(self) -> &'static str {
                match self {
                    $(Mistake::$variant => concat!($($doc),+),)+
                }
            }
        }
    };
}

mistakes! {
    /// Now and then an event is not handed to those who watch.
    LostEvent = "lost-event",
    /// Now and then a watcher gets an event twice.
    DoubledEvent = "doubled-event",
    /// Events that a watcher gets at once come the last one first.
    ReversedEvents = "reversed-events",
    /// An object that leaves a selection is not told as deleted.
    HiddenDeparture = "hidden-departure",
    /// An object that comes into a selection is told as modified.
    HiddenArrival = "hidden-arrival",
    /// A deletion is told to watchers whose selection the object was not in.
    StrayDeletion = "stray-deletion",
    /// A deletion is told at the revision of the object's last state.
    OldDeletion = "old-deletion",
    /// A watch begins one revision too late after its list.
    LateWatch = "late-watch",
    /// A bookmark names a revision that events are still to come for.
    EarlyBookmark = "early-bookmark",
    /// A list that must be current is whatever the cache has.
    StaleList = "stale-list",
    /// A read that must be current is whatever the cache has.
    StaleRead = "stale-read",
    /// A list is said to be of the store's revision, while it is of the cache's.
    ListAhead = "list-ahead",
    /// A list is said to be of a revision that is still to come.
    FutureList = "future-list",
    /// Later pages of a list are of the present instead of the first page's revision.
    TornPages = "torn-pages",
    /// A server that was started takes the past that its caches begin with for the present.
    BackAfterStart = "back-after-start",
    /// A create is answered before the store has answered.
    EarlyAnswer = "early-answer",
    /// An update answers the revision that it has replaced.
    OldAnswer = "old-answer",
    /// An update answers the object that it has replaced.
    OldContents = "old-contents",
    /// A create replaces what is there.
    UnguardedCreate = "unguarded-create",
    /// An update succeeds whatever the object is by then.
    UnguardedUpdate = "unguarded-update",
    /// An update that finds its object deleted writes it anew.
    Resurrection = "resurrection",
    /// A write of unknown outcome is sent again.
    RepeatedWrite = "repeated-write",
    /// A service gets an address that another has claimed.
    SharedAddress = "shared-address",
    /// Now and then an update panics.
    Panic = "panic",
    /// A server that is asked to end does so at once.
    AbruptEnd = "abrupt-end",
}

/// No mistake has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMistake(String);

impl fmt::Display for UnknownMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no planted mistake is called {:?}; there are:", self.0)?;
        Mistake::ALL
            .iter()
            .try_for_each(|mistake| write!(f, " {}", mistake.name()))
    }
}

impl std::error::Error for UnknownMistake {}

impl FromStr for Mistake {
    type Err = UnknownMistake;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Mistake::ALL
            .iter()
            .find(|mistake| mistake.name() == name)
            .copied()
            .ok_or_else(|| UnknownMistake(name.to_owned()))
    }
}
