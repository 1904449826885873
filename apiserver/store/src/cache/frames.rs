//! The encoded forms of one event, each made once and shared by all watchers.

use super::event::EventKind;
use crate::limits::REPRESENTATIONS_MAX;
use bytes::Bytes;
use std::sync::OnceLock;

/// A list that only grows, so that a frame is found without a lock. There are as many nodes as representations in use,
/// which is one or two.
#[derive(Debug, Default)]
pub(crate) struct Frames(OnceLock<Box<Node>>);

#[derive(Debug)]
struct Node {
    representation: u32,
    kind: EventKind,
    frame: OnceLock<Bytes>,
    next: OnceLock<Box<Node>>,
}

impl Frames {
    /// The frame of a representation, made by the first who asks. Others that ask meanwhile wait for it.
    pub(crate) fn get(
        &self,
        representation: u32,
        kind: EventKind,
        encode: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let mut slot = &self.0;
        for _ in 0..REPRESENTATIONS_MAX {
            let node = slot.get_or_init(|| {
                Box::new(Node {
                    representation,
                    kind,
                    frame: OnceLock::new(),
                    next: OnceLock::new(),
                })
            });
            if node.representation == representation && node.kind == kind {
                return node.frame.get_or_init(encode).clone();
            }
            slot = &node.next;
        }
        encode()
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;
    use crate::cache::event::EventKind::{Added, Deleted, Modified};
    use crate::limits::REPRESENTATIONS_MAX;
    use bytes::Bytes;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_frame_is_made_once_by_many() {
        let (frames, made) = (Frames::default(), AtomicUsize::new(0));
        let read = |representation, kind| {
            frames.get(representation, kind, || {
                made.fetch_add(1, Ordering::Relaxed);
                Bytes::from(format!("{representation} {kind:?}"))
            })
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for kind in [Added, Modified, Deleted] {
                        assert_eq!(read(1, kind), format!("1 {kind:?}"));
                        assert_eq!(read(7, kind), format!("7 {kind:?}"));
                    }
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn too_many_representations_are_made_again_each_time() {
        let frames = Frames::default();
        let many = u32::try_from(REPRESENTATIONS_MAX).unwrap();
        for round in ["first", "again"] {
            for representation in 0..=many {
                let frame = frames.get(representation, Added, || Bytes::from(round));
                let kept = representation < many;
                assert_eq!(frame, if kept { "first" } else { round });
            }
        }
    }
}
