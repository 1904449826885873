//! Persistent volumes and claims.

use super::{Context, Part};
use crate::value::{at, carry, has, map, same, set, take, text};
use serde_json::{Map, Value};

pub(super) fn create_volume(volume: &mut Value, ctx: &Context<'_>) {
    set(volume, "status.lastPhaseTransitionTime", ctx.now);
}

/// The time of the last change of phase is set by the server unless the client does.
pub(super) fn update_volume(new: &mut Value, old: &Value, part: Part, ctx: &Context<'_>) {
    const TIME: &str = "status.lastPhaseTransitionTime";
    if part != Part::Status {
        return;
    }
    let same_phase = text(new, "status.phase") == text(old, "status.phase");
    if same_phase && !has(new, TIME) {
        carry(new, old, TIME);
    } else if !same_phase && (!has(new, TIME) || at(new, TIME) == at(old, TIME)) {
        set(new, TIME, ctx.now);
    }
}

pub(super) fn create_claim(claim: &mut Value, _: &Context<'_>) {
    drop_unknown_source(claim, None);
    pair_sources(claim);
}

pub(super) fn update_claim(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    if part == Part::Main {
        drop_unknown_source(new, Some(old));
        pair_sources(new);
    }
}

/// `dataSource` may name a claim or a snapshot; anything else was always dropped silently, unless
/// the newer `dataSourceRef` is used too.
fn drop_unknown_source(claim: &mut Value, old: Option<&Value>) {
    let in_use = |old: &Value| has(old, "spec.dataSource") || has(old, "spec.dataSourceRef");
    if old.is_some_and(in_use) || has(claim, "spec.dataSourceRef") {
        return;
    }
    let known = match at(claim, "spec.dataSource") {
        Some(source) => matches!(
            (text(source, "apiGroup"), text(source, "kind")),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        ),
        None => true,
    };
    if !known {
        take(claim, "spec.dataSource");
    }
}

/// Sets the one of `dataSource` and `dataSourceRef` that is missing to the other.
fn pair_sources(claim: &mut Value) {
    let copy = |from: &Map<String, Value>| -> Map<String, Value> {
        let kept =
            |(key, _): &(&String, &Value)| ["apiGroup", "kind", "name"].contains(&key.as_str());
        from.iter()
            .filter(kept)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let source = map(claim, "spec.dataSource").map(copy);
    let reference = map(claim, "spec.dataSourceRef").map(copy);
    match (source, reference) {
        (Some(source), None) => set(claim, "spec.dataSourceRef", source),
        (None, Some(reference)) if same(at(claim, "spec.dataSourceRef.namespace"), None) => {
            set(claim, "spec.dataSource", reference);
        }
        _ => {}
    }
}
