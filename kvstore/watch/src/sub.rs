//! Watchers, and the set of them that one stream has in one group.

/// Options of a watch and its state, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    pub(crate) const PREV_KV: Self = Self(1);
    pub(crate) const NO_PUT: Self = Self(1 << 1);
    pub(crate) const NO_DELETE: Self = Self(1 << 2);
    pub(crate) const FRAGMENT: Self = Self(1 << 3);
    /// Wants progress notifications.
    pub(crate) const PROGRESS: Self = Self(1 << 4);
    /// Was sent events since the last progress tick.
    pub(crate) const SENT: Self = Self(1 << 5);
    /// Catches up on its own; matches of its group are not for it.
    pub(crate) const UNSYNCED: Self = Self(1 << 6);
    /// Was asked to start above the revision of the time.
    pub(crate) const FUTURE: Self = Self(1 << 7);

    pub(crate) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(crate) fn set(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0
        } else {
            self.0 &= !flag.0
        }
    }

    /// The bits that decide what a response contains.
    pub(crate) fn variant(self) -> Self {
        Self(self.0 & (Self::PREV_KV.0 | Self::NO_PUT.0 | Self::NO_DELETE.0))
    }

    /// Whether the filters let an event through.
    pub(crate) fn admits(self, delete: bool) -> bool {
        !self.has(if delete {
            Self::NO_DELETE
        } else {
            Self::NO_PUT
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Watcher {
    pub(crate) id: i64,
    /// The next revision it wants. Not moved by events of other ranges, so it may lag behind what is known to
    /// hold nothing for it.
    pub(crate) cursor: i64,
    /// Tells it from an earlier watcher of the same id.
    pub(crate) nonce: u32,
    pub(crate) flags: Flags,
}

/// A list that needs no allocation while it has one element.
#[derive(Debug, Default)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn push(&mut self, item: T) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(item),
            Self::One(one) => Self::Many(vec![one, item]),
            Self::Many(mut many) => {
                many.push(item);
                Self::Many(many)
            }
        };
    }

    /// Removes an element; the last one takes its place.
    pub(crate) fn swap_remove(&mut self, at: usize) -> T {
        match self {
            Self::Many(many) => {
                let item = many.swap_remove(at);
                if many.is_empty() {
                    *self = Self::None;
                }
                item
            }
            _ => match std::mem::take(self) {
                Self::One(one) if at == 0 => one,
                _ => panic!("element {at} of a shorter list"),
            },
        }
    }
}

/// The watchers of one stream in one group.
#[derive(Debug)]
pub(crate) struct Sub {
    pub(crate) group: u32,
    pub(crate) stream: u32,
    /// Its place in the group's list.
    pub(crate) place: u32,
    /// The stream's work list has an entry for it.
    pub(crate) dirty: bool,
    /// Watchers moved while it was dirty: an interrupted pass starts over.
    pub(crate) disturbed: bool,
    pub(crate) watchers: Few<Watcher>,
}
