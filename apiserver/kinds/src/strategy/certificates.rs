//! Certificate signing requests: who asked is recorded, who approved and who signed are kept apart.

use super::{Context, Part};
use crate::value::{at, at_mut, carry, has, list, set, take, text};
use serde_json::{Map, Value, json};

/// The request says who made it, whatever the client wrote.
pub(super) fn create_request(request: &mut Value, ctx: &Context<'_>) {
    for place in ["spec.username", "spec.uid", "spec.groups", "spec.extra"] {
        take(request, place);
    }
    let user = &ctx.user;
    for (place, value) in [("spec.username", user.name), ("spec.uid", user.uid)] {
        if !value.is_empty() {
            set(request, place, value);
        }
    }
    if !user.groups.is_empty() {
        set(request, "spec.groups", json!(user.groups));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user
            .extra
            .iter()
            .map(|(key, values)| (key.clone(), json!(values)))
            .collect();
        set(request, "spec.extra", extra);
    }
}

pub(super) fn update_request(new: &mut Value, old: &Value, part: Part, ctx: &Context<'_>) {
    match part {
        Part::Main => carry(new, old, "spec"),
        Part::Status => {
            for kind in ["Approved", "Denied"] {
                keep_conditions(new, old, kind);
            }
            date_conditions(new, old, ctx);
        }
        Part::Approval => {
            date_conditions(new, old, ctx);
            let conditions = at(new, "status.conditions").cloned();
            carry(new, old, "spec");
            carry(new, old, "status");
            match conditions {
                Some(conditions) => set(new, "status.conditions", conditions),
                None => {
                    take(new, "status.conditions");
                }
            }
        }
        Part::Finalize | Part::EphemeralContainers | Part::Resize => {}
    }
}

/// A status update may not change how a request was decided. Where it adds or removes a decision
/// everything is left for validation to refuse.
fn keep_conditions(new: &mut Value, old: &Value, kind: &str) {
    let of_kind = |condition: &&Value| text(condition, "type") == kind;
    let before: Vec<Value> = list(old, "status.conditions")
        .iter()
        .filter(of_kind)
        .cloned()
        .collect();
    let Some(Value::Array(conditions)) = at_mut(new, "status.conditions") else {
        return;
    };
    if conditions.iter().filter(of_kind).count() != before.len() {
        return;
    }
    let written = conditions
        .iter_mut()
        .filter(|condition| text(condition, "type") == kind);
    for (condition, before) in written.zip(before) {
        *condition = before;
    }
}

fn date_conditions(new: &mut Value, old: &Value, ctx: &Context<'_>) {
    let Some(Value::Array(conditions)) = at_mut(new, "status.conditions") else {
        return;
    };
    for condition in conditions {
        if !has(condition, "lastUpdateTime") {
            set(condition, "lastUpdateTime", ctx.now);
        }
        if !has(condition, "lastTransitionTime") {
            let known = list(old, "status.conditions").iter().find(|known| {
                text(known, "type") == text(condition, "type")
                    && text(known, "status") == text(condition, "status")
                    && has(known, "lastTransitionTime")
            });
            let since = known
                .map_or(ctx.now, |known| text(known, "lastTransitionTime"))
                .to_owned();
            set(condition, "lastTransitionTime", since);
        }
    }
}
