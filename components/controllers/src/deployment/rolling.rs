//! How far a rolling update may go now.
//!
//! Growing asks how many pods there may be, shrinking how many are available: each is safe by itself, so a
//! controller may end between any two of its writes and the next one goes on from there. Upstream grows by what sets
//! are asked for, and has too many pods as long as a set has yet to delete some.

use super::bounds::Bounds;
use super::sets::Size;

fn asked_for(sets: &[Size]) -> i32 {
    sets.iter().map(|set| set.replicas).sum()
}

/// The size of the new set, `new.replicas` now: as many as the pods that there may be in all leave room for.
pub(super) fn grown(bounds: &Bounds, new: &Size, old: &[Size]) -> i32 {
    if new.replicas >= bounds.replicas || !bounds.rolling {
        // Also when it has too many.
        return bounds.replicas;
    }
    let others: i32 = old.iter().map(Size::at_most).sum();
    let room = bounds.most() - others - new.at_most();
    let missing = bounds.replicas - new.replicas;
    new.replicas + room.clamp(0, missing)
}

/// Sizes of the old sets, in their order: first those pods go that serve nobody, so that they do not stand in the
/// way of the rollout, then as many others as are more than the fewest that must be available.
pub(super) fn shrunk(bounds: &Bounds, new: &Size, old: &[Size]) -> Vec<i32> {
    let mut sizes: Vec<i32> = old.iter().map(|set| set.replicas).collect();
    // Pods of the new set that are not available yet are not counted on, nor may old ones go instead of them.
    let waited_for = new.replicas - new.available;
    let mut most = asked_for(old) + new.replicas - bounds.least() - waited_for;
    for (size, set) in sizes.iter_mut().zip(old) {
        let useless = (set.replicas - set.available).min(most).max(0);
        *size -= useless;
        most -= useless;
    }
    let available: i32 = old.iter().chain([new]).map(|set| set.available).sum();
    let mut spare = (available - bounds.least()).min(most);
    for size in &mut sizes {
        let less = (*size).min(spare).max(0);
        *size -= less;
        spare -= less;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size((replicas, available): (i32, i32)) -> Size {
        Size {
            replicas,
            available,
            ..Size::default()
        }
    }

    #[test]
    fn the_new_set_grew_while_the_old_one_had_pods_left_to_delete() {
        let bounds = bounds(6, 2, 1);
        let new = size((2, 2));
        let mut old = size((4, 4));
        assert_eq!(grown(&bounds, &new, &[old.clone()]), 4);
        old.counted = 6;
        assert_eq!(grown(&bounds, &new, &[old]), 2);
    }

    fn bounds(replicas: i32, surge: i32, unavailable: i32) -> Bounds {
        Bounds {
            replicas,
            surge,
            unavailable,
            rolling: true,
        }
    }

    #[test]
    fn the_new_set_grows_into_the_room_that_is_left() {
        for (bounds, new, old, expected) in [
            (bounds(10, 3, 2), 0, vec![10], 3),
            (bounds(10, 3, 2), 3, vec![8], 5),
            (bounds(10, 3, 2), 0, vec![13], 0),
            (bounds(10, 3, 2), 9, vec![0], 10),
            (bounds(10, 0, 2), 0, vec![10], 0),
            (bounds(10, 0, 2), 0, vec![8], 2),
            (bounds(3, 1, 0), 5, vec![0], 3),
            (bounds(3, 1, 0), 0, vec![2, 1], 1),
            (bounds(0, 1, 0), 0, vec![3], 0),
        ] {
            let old: Vec<_> = old.into_iter().map(|n| size((n, n))).collect();
            let new = size((new, new));
            assert_eq!(
                grown(&bounds, &new, &old),
                expected,
                "{bounds:?} {new:?} {old:?}"
            );
        }
    }

    #[test]
    fn old_sets_shrink_by_what_is_useless_or_more_than_needed() {
        for (what, bounds, new, old, expected) in [
            (
                "nothing new yet",
                bounds(10, 3, 2),
                (0, 0),
                vec![(10, 10)],
                vec![8],
            ),
            (
                "new ones not available",
                bounds(10, 3, 2),
                (5, 0),
                vec![(8, 8)],
                vec![8],
            ),
            (
                "new ones available",
                bounds(10, 3, 2),
                (5, 5),
                vec![(8, 8)],
                vec![3],
            ),
            (
                "some available",
                bounds(10, 3, 2),
                (5, 2),
                vec![(8, 8)],
                vec![6],
            ),
            (
                "an old one breaks while new ones crash",
                bounds(10, 3, 2),
                (5, 0),
                vec![(8, 7)],
                vec![8],
            ),
            (
                "rolled back",
                bounds(10, 3, 2),
                (8, 7),
                vec![(5, 0)],
                vec![1],
            ),
            (
                "useless ones first",
                bounds(10, 3, 2),
                (0, 0),
                vec![(8, 8), (5, 0)],
                vec![8, 0],
            ),
            (
                "useless ones of the oldest first",
                bounds(10, 3, 2),
                (0, 0),
                vec![(8, 5), (5, 0)],
                vec![5, 3],
            ),
            (
                "no more than there are",
                bounds(3, 1, 1),
                (3, 3),
                vec![(1, 1)],
                vec![0],
            ),
            (
                "no pod to spare",
                bounds(3, 1, 0),
                (1, 0),
                vec![(3, 3)],
                vec![3],
            ),
            (
                "one is ready",
                bounds(3, 1, 0),
                (1, 1),
                vec![(3, 3)],
                vec![2],
            ),
            (
                "scaled to nothing",
                bounds(0, 0, 0),
                (0, 0),
                vec![(3, 3)],
                vec![0],
            ),
        ] {
            let old: Vec<_> = old.into_iter().map(size).collect();
            assert_eq!(shrunk(&bounds, &size(new), &old), expected, "{what}");
        }
    }

    /// Pods come and go as the sets ask for, one at a time and in any order; no step may leave the bounds.
    #[test]
    fn no_rollout_leaves_its_bounds_and_all_of_them_end() {
        for (replicas, surge, unavailable) in [
            (1, 1, 0),
            (1, 0, 1),
            (3, 1, 0),
            (3, 0, 1),
            (10, 3, 2),
            (7, 7, 7),
            (5, 2, 0),
        ] {
            let bounds = bounds(replicas, surge, unavailable);
            let mut new = size((0, 0));
            let mut old = vec![
                size((replicas / 2, replicas / 2)),
                size((replicas - replicas / 2, replicas - replicas / 2)),
            ];
            for step in 0..200 {
                new.replicas = grown(&bounds, &new, &old);
                let sizes = shrunk(&bounds, &new, &old);
                for (set, size) in old.iter_mut().zip(sizes) {
                    set.replicas = size;
                    // Available pods go last, but the size of the set is all that keeps them.
                    set.available = set.available.min(size);
                }
                let all = asked_for(&old) + new.replicas;
                let available: i32 = old.iter().chain([&new]).map(|set| set.available).sum();
                assert!(
                    all <= bounds.most(),
                    "{all} pods of {bounds:?} in step {step}"
                );
                assert!(
                    available >= bounds.least(),
                    "{available} available of {bounds:?} in step {step}"
                );
                if new.available < new.replicas {
                    new.available += 1;
                }
            }
            assert_eq!(
                (new.available, asked_for(&old)),
                (replicas, 0),
                "{bounds:?}"
            );
        }
    }
}
