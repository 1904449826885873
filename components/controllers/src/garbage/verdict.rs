//! What becomes of an object, from what the server says about it and its owners.

use kube::api::PropagationPolicy;

use super::graph::{FOREGROUND, ORPHAN};

/// What the server says about one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It lives, or will be gone without asking for its dependents.
    Solid,
    /// No object with this uid is where the reference says.
    Absent,
    /// It is being deleted and waits for its dependents to be gone.
    Waiting,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Keep,
    /// It stays with its other owners and forgets these (positions in the list that was given).
    Forget(Vec<usize>),
    Delete {
        policy: PropagationPolicy,
        /// First make it hold up none of its owners: it waits for an object that may wait for it in turn.
        unblock: bool,
    },
}

/// `owners` in the order of the object's references. `dependents` says for each object it owns whether that one
/// waits for dependents of its own.
pub(super) fn verdict(owners: &[Owner], finalizers: &[String], dependents: &[bool]) -> Verdict {
    if owners.is_empty() {
        return Verdict::Keep;
    }
    let is_solid = |owner: &Owner| *owner == Owner::Solid;
    if owners.iter().any(is_solid) {
        let lost = owners.iter().enumerate().filter(|(_, o)| !is_solid(o));
        let lost: Vec<_> = lost.map(|(at, _)| at).collect();
        return match lost.is_empty() {
            true => Verdict::Keep,
            false => Verdict::Forget(lost),
        };
    }
    if owners.contains(&Owner::Waiting) && !dependents.is_empty() {
        return Verdict::Delete {
            policy: PropagationPolicy::Foreground,
            unblock: dependents.contains(&true),
        };
    }
    let has = |name: &str| finalizers.iter().any(|own| own == name);
    let policy = if has(ORPHAN) {
        PropagationPolicy::Orphan
    } else if has(FOREGROUND) {
        PropagationPolicy::Foreground
    } else {
        PropagationPolicy::Background
    };
    Verdict::Delete {
        policy,
        unblock: false,
    }
}

#[cfg(test)]
mod tests {
    use super::Owner::{Absent, Solid, Waiting};
    use super::*;

    #[test]
    fn only_what_has_lost_all_owners_goes() {
        let delete = |policy, unblock| Verdict::Delete { policy, unblock };
        let background = || delete(PropagationPolicy::Background, false);
        let foreground = |unblock| delete(PropagationPolicy::Foreground, unblock);
        let none: &[&str] = &[];
        for (owners, finalizers, dependents, expected) in [
            (&[][..], none, &[][..], Verdict::Keep),
            (&[Solid], none, &[true], Verdict::Keep),
            (&[Absent], none, &[], background()),
            (&[Absent], none, &[false], background()),
            (&[Absent, Absent], &["x/y"], &[], background()),
            (&[Solid, Absent], none, &[], Verdict::Forget(vec![1])),
            (
                &[Waiting, Solid, Absent],
                none,
                &[],
                Verdict::Forget(vec![0, 2]),
            ),
            (
                &[Absent],
                &[ORPHAN],
                &[],
                delete(PropagationPolicy::Orphan, false),
            ),
            (&[Absent], &[FOREGROUND], &[], foreground(false)),
            (&[Waiting], none, &[], background()),
            (&[Waiting], none, &[false, false], foreground(false)),
            (&[Waiting, Absent], none, &[false, true], foreground(true)),
            (
                &[Waiting],
                &[ORPHAN],
                &[],
                delete(PropagationPolicy::Orphan, false),
            ),
        ] {
            let names: Vec<_> = finalizers.iter().map(|&f| f.to_owned()).collect();
            let found = verdict(owners, &names, dependents);
            assert_eq!(found, expected, "{owners:?} {finalizers:?} {dependents:?}");
        }
    }
}
