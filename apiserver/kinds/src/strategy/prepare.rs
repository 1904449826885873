//! Applies a kind's row of the strategy table to an object being written.

use super::{Context, Generation, Part, Status, StatusMeta, Strategy};
use crate::kind::KindRef;
use crate::value::{at, carry, int, same, set, take, text};
use serde_json::Value;

/// What users can set of metadata; the rest is the server's.
const USER_METADATA: [&str; 4] = [
    "metadata.labels",
    "metadata.annotations",
    "metadata.finalizers",
    "metadata.ownerReferences",
];

/// Sets what a client may not: the initial status and generation, and what hooks add. The object is
/// defaulted, and has its `metadata.name` (but see `complete_name`), `uid` and `creationTimestamp`.
pub fn prepare_for_create<'a>(kind: impl Into<KindRef<'a>>, new: &mut Value, ctx: &Context<'_>) {
    if !new.is_object() {
        return;
    }
    let strategy = Strategy::of(kind);
    if let Status::Initial(status) = strategy.status {
        let status: Value = serde_json::from_str(status).expect("a test reads every row");
        set(new, "status", status);
    }
    match strategy.generation {
        Generation::None | Generation::LaterOf(_) => {
            take(new, "metadata.generation");
        }
        Generation::One | Generation::Of(_) | Generation::Everything => {
            set(new, "metadata.generation", 1);
        }
    }
    if let Some(hook) = strategy.on_create {
        hook(new, ctx);
    }
}

/// Puts back what an update of this part may not change, and raises the generation where what it
/// counts has changed. Both objects are defaulted; metadata the server owns is already carried over.
pub fn prepare_for_update<'a>(
    kind: impl Into<KindRef<'a>>,
    new: &mut Value,
    old: &Value,
    part: Part,
    ctx: &Context<'_>,
) {
    if !new.is_object() {
        return;
    }
    let strategy = Strategy::of(kind);
    carry(new, old, "metadata.generation");
    match part {
        Part::Main | Part::Finalize => {
            if !matches!(strategy.status, Status::None) {
                carry(new, old, "status");
            }
        }
        Part::Status => keep_all_but_status(strategy, new, old),
        Part::Approval | Part::EphemeralContainers | Part::Resize => {}
    }
    if let Some(hook) = strategy.on_update {
        hook(new, old, part, ctx);
    }
    if !matches!(part, Part::Status | Part::Finalize) && generation_rises(strategy, new, old) {
        set(
            new,
            "metadata.generation",
            int(old, "metadata.generation") + 1,
        );
    }
}

/// A status update changes `status` alone, and metadata as far as the kind lets it.
fn keep_all_but_status(strategy: &Strategy, new: &mut Value, old: &Value) {
    let places = |object: &Value| -> Vec<String> {
        object
            .as_object()
            .map(|fields| fields.keys().cloned().collect())
            .unwrap_or_default()
    };
    for place in places(new).into_iter().chain(places(old)) {
        if !matches!(
            place.as_str(),
            "metadata" | "status" | "apiVersion" | "kind"
        ) {
            carry(new, old, &place);
        }
    }
    match strategy.status_meta {
        StatusMeta::Open => {}
        StatusMeta::KeepLabels => carry(new, old, "metadata.labels"),
        StatusMeta::Keep => keep_user_metadata(new, old),
    }
}

pub(super) fn keep_user_metadata(new: &mut Value, old: &Value) {
    for place in USER_METADATA {
        carry(new, old, place);
    }
}

fn generation_rises(strategy: &Strategy, new: &Value, old: &Value) -> bool {
    match strategy.generation {
        Generation::None | Generation::One => false,
        Generation::Of(places) | Generation::LaterOf(places) => places
            .iter()
            .any(|place| !same(at(new, place), at(old, place))),
        Generation::Everything => {
            let without_metadata = |object: &Value| {
                let mut object = object.clone();
                take(&mut object, "metadata");
                object
            };
            !same(at(new, "metadata.labels"), at(old, "metadata.labels"))
                || !same(Some(&without_metadata(new)), Some(&without_metadata(old)))
        }
    }
}

/// Sets what follows from the name, once `generateName` has become one. To be called after
/// validation, on creates and updates.
pub fn complete_name<'a>(kind: impl Into<KindRef<'a>>, object: &mut Value) {
    let kind = kind.into();
    if kind.group.is_empty()
        && kind.kind == "Namespace"
        && !text(object, "metadata.name").is_empty()
    {
        crate::defaults::default_object(kind, object);
    }
}
