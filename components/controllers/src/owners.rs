//! Which owners a change concerns: the one that controls the object, and those that may want it.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::core::{Selector, SelectorExt as _};
use mainstay_client::{Cache, Change, Key, Kind, controller_of};

use crate::pods::is_ready;

/// The owner that controls an object, if it is of this kind and still the same one.
pub(crate) fn owner_of<O: Kind, K: Kind>(owners: &Cache<O>, object: &K) -> Option<Arc<O>> {
    let reference = controller_of(object).filter(|r| r.kind == O::kind(&()))?;
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let owner = owners.get(&Key::new(namespace, &reference.name))?;
    (owner.meta().uid.as_deref() == Some(&reference.uid)).then_some(owner)
}

/// The owners that select an object that nobody controls.
fn selecting<O: Kind, K: Kind>(
    owners: &Cache<O>,
    object: &K,
    wanted: impl Fn(&O) -> Option<Selector>,
) -> Vec<Arc<O>> {
    if controller_of(object).is_some() {
        return Vec::new();
    }
    let none = Default::default();
    let labels = object.meta().labels.as_ref().unwrap_or(&none);
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let mut found = owners.in_namespace(namespace);
    found.retain(|owner| wanted(owner).is_some_and(|wanted| wanted.matches(labels)));
    found
}

/// The owners that have to look at their objects after a change of one of them.
pub(crate) fn concerned<O: Kind, K: Kind>(
    owners: &Cache<O>,
    change: &Change<'_, K>,
    wanted: impl Fn(&O) -> Option<Selector>,
) -> Vec<Arc<O>> {
    let object = change.object().as_ref();
    let mut found = Vec::new();
    let news = match change {
        Change::Added(_) => true,
        Change::Deleted(_) => false,
        Change::Updated { old, new } => {
            let moved = controller_of(old.as_ref()) != controller_of(new.as_ref());
            if moved {
                found.extend(owner_of(owners, old.as_ref()));
            }
            moved || old.meta().labels != new.meta().labels
        }
    };
    match owner_of(owners, object) {
        Some(owner) => found.push(owner),
        // Nobody adopts what goes.
        None if news && object.meta().deletion_timestamp.is_none() => {
            found.extend(selecting(owners, object, wanted));
        }
        None => {}
    }
    found
}

/// Time after which a pod that has just become ready is available, if it is not so at once.
pub(crate) fn available_after(
    change: &Change<'_, Pod>,
    min_ready_seconds: i32,
) -> Option<Duration> {
    let Change::Updated { old, new } = change else {
        return None;
    };
    let least = u64::try_from(min_ready_seconds).unwrap_or(0);
    // A second more: times in conditions have no fractions.
    (least > 0 && !is_ready(old) && is_ready(new)).then(|| Duration::from_secs(least + 1))
}
