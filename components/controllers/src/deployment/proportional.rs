//! What each set gets when a deployment is scaled in the middle of a rollout: its share.

use super::bounds::Bounds;
use super::sets::Size;

/// Whether the deployment was scaled since one of its sets was: they have its size of then written on them.
pub(super) fn is_due(bounds: &Bounds, sets: &[Size]) -> bool {
    let mut active = sets.iter().filter(|set| set.replicas > 0);
    active.any(|set| {
        set.desired
            .is_some_and(|desired| desired != bounds.replicas)
    })
}

/// Sizes to write, by their place in `sets`, the oldest set first; `new` is the place of the one that has the template
/// of now. Sets that are not named stay as they are.
///
/// `before` is the deployment's size that its status tells, for sets on which none is written.
pub(super) fn scaled(
    bounds: &Bounds,
    sets: &[Size],
    new: Option<usize>,
    before: i32,
) -> Vec<(usize, i32)> {
    let active: Vec<usize> = (0..sets.len())
        .filter(|at| sets[*at].replicas > 0)
        .collect();
    // The newest of those that are left when none has pods: the new one, or else the last old one.
    let idle = || new.or(sets.len().checked_sub(1));
    match active.as_slice() {
        [] => return idle().map(|at| (at, bounds.replicas)).into_iter().collect(),
        [only] => return vec![(*only, bounds.replicas)],
        _ => {}
    }
    if new.is_some_and(|at| is_saturated(bounds, &sets[at])) {
        let old = active.into_iter().filter(|at| Some(*at) != new);
        return old.map(|at| (at, 0)).collect();
    }
    if !bounds.rolling {
        return Vec::new();
    }
    shares(bounds, sets, active, before)
}

/// Whether the new set serves all there is to serve.
fn is_saturated(bounds: &Bounds, set: &Size) -> bool {
    let wanted = bounds.replicas;
    set.replicas == wanted && set.desired == Some(wanted) && set.available == wanted
}

fn shares(bounds: &Bounds, sets: &[Size], active: Vec<usize>, before: i32) -> Vec<(usize, i32)> {
    let allowed = if bounds.replicas > 0 {
        bounds.most()
    } else {
        0
    };
    let now: i32 = active.iter().map(|at| sets[*at].replicas).sum();
    let total = allowed - now;
    // Large ones first; of equal ones the newer grow and the older shrink first.
    let mut order = active;
    if total > 0 {
        order.reverse();
    }
    order.sort_by_key(|at| -sets[*at].replicas);
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = Vec::with_capacity(order.len());
    for at in order {
        let set = &sets[at];
        let share = share(bounds, set, before);
        let left = total - added;
        let share = match total {
            1.. => share.min(left),
            0 => 0,
            _ => share.max(left),
        };
        added += share;
        sizes.push((at, set.replicas + share));
    }
    if let Some((_, largest)) = sizes.first_mut() {
        // What rounding left over.
        *largest = (*largest + total - added).max(0);
    }
    sizes
}

/// What a set grows by if it keeps its part of the whole.
fn share(bounds: &Bounds, set: &Size, before: i32) -> i32 {
    if bounds.replicas == 0 {
        return -set.replicas;
    }
    let before = set.most.filter(|most| *most != 0).unwrap_or(before);
    if before == 0 {
        return 0;
    }
    let part = f64::from(set.replicas) * f64::from(bounds.most()) / f64::from(before);
    rounded(part) - set.replicas
}

#[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
fn rounded(number: f64) -> i32 {
    number.round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(replicas: i32, surge: i32) -> Bounds {
        Bounds {
            replicas,
            surge,
            unavailable: 2.min(replicas),
            rolling: true,
        }
    }

    fn size(replicas: i32, available: i32, desired: i32, most: i32) -> Size {
        Size {
            replicas,
            available,
            desired: Some(desired),
            most: Some(most),
            ..Size::default()
        }
    }

    #[test]
    fn a_deployment_that_was_scaled_shows_on_its_sets() {
        let at = |desired| size(3, 3, desired, desired + 1);
        let idle = Size {
            replicas: 0,
            ..at(9)
        };
        let unknown = Size {
            desired: None,
            ..at(9)
        };
        for (sets, expected) in [
            (vec![at(3)], false),
            (vec![at(4)], true),
            (vec![at(3), idle.clone()], false),
            (vec![unknown, at(3)], false),
            (vec![idle, at(2)], true),
        ] {
            assert_eq!(is_due(&bounds(3, 1), &sets), expected, "{sets:?}");
        }
    }

    #[test]
    fn every_set_keeps_its_part() {
        for (what, bounds, sets, new, expected) in [
            (
                "one set has all",
                bounds(5, 1),
                vec![size(3, 3, 3, 4)],
                Some(0),
                vec![(0, 5)],
            ),
            (
                "one of two has pods",
                bounds(5, 1),
                vec![size(3, 3, 3, 4), size(0, 0, 3, 4)],
                Some(1),
                vec![(0, 5)],
            ),
            (
                "none has pods",
                bounds(5, 1),
                vec![size(0, 0, 3, 4), size(0, 0, 3, 4)],
                Some(1),
                vec![(1, 5)],
            ),
            ("nothing is there", bounds(5, 1), vec![], None, vec![]),
            (
                "the rollout is over",
                bounds(5, 1),
                vec![size(1, 1, 5, 6), size(5, 5, 5, 6)],
                Some(1),
                vec![(0, 0)],
            ),
            // 8 and 5 of 13 become 12.3 and 7.7 of 20; what is missing goes to the largest.
            (
                "up",
                bounds(15, 5),
                vec![size(8, 8, 10, 13), size(5, 0, 10, 13)],
                Some(1),
                vec![(0, 12), (1, 8)],
            ),
            (
                "down",
                bounds(5, 2),
                vec![size(8, 8, 10, 13), size(5, 0, 10, 13)],
                Some(1),
                vec![(0, 4), (1, 3)],
            ),
            (
                "of equal ones the newer grows more",
                bounds(10, 1),
                vec![size(5, 5, 9, 10), size(5, 5, 9, 10)],
                Some(1),
                vec![(1, 6), (0, 5)],
            ),
            (
                "of equal ones the older shrinks more",
                bounds(8, 1),
                vec![size(5, 5, 9, 10), size(5, 5, 9, 10)],
                Some(1),
                vec![(0, 4), (1, 5)],
            ),
            (
                "to nothing",
                bounds(0, 0),
                vec![size(8, 8, 10, 13), size(5, 0, 10, 13)],
                Some(1),
                vec![(0, 0), (1, 0)],
            ),
        ] {
            assert_eq!(scaled(&bounds, &sets, new, 10), expected, "{what}");
        }
    }
}
