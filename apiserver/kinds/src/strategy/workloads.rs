//! Daemon sets, jobs and autoscalers.

use super::{Context, Part};
use crate::value::{at, ensure, entry_text, flag, same, set, text};
use serde_json::{Value, json};

/// Counts the changes of a daemon set's template; kept as an annotation since `apps/v1`.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn set_template_generation(daemon_set: &mut Value, generation: i64) {
    if let Some(annotations) = ensure(daemon_set, "metadata.annotations") {
        annotations.insert(
            TEMPLATE_GENERATION.to_owned(),
            generation.to_string().into(),
        );
    }
}

fn template_generation(daemon_set: &Value) -> i64 {
    entry_text(daemon_set, "metadata.annotations", TEMPLATE_GENERATION)
        .parse()
        .unwrap_or(0)
}

pub(super) fn create_daemon_set(daemon_set: &mut Value, _: &Context<'_>) {
    let given = template_generation(daemon_set);
    set_template_generation(daemon_set, given.max(1));
}

pub(super) fn update_daemon_set(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    let before = template_generation(old);
    let changed = !same(at(new, "spec.template"), at(old, "spec.template"));
    let rises = part == Part::Main && changed;
    set_template_generation(
        new,
        if rises {
            before.saturating_add(1)
        } else {
            before
        },
    );
}

/// Pods of a job are found by the job's uid, unless the user manages the selector.
pub(super) fn create_job(job: &mut Value, _: &Context<'_>) {
    if flag(job, "spec.manualSelector") {
        return;
    }
    let name = text(job, "metadata.name").to_owned();
    let uid = text(job, "metadata.uid").to_owned();
    if let Some(labels) = ensure(job, "spec.template.metadata.labels") {
        for (key, value) in [
            ("job-name", &name),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("batch.kubernetes.io/controller-uid", &uid),
        ] {
            labels.entry(key).or_insert_with(|| value.as_str().into());
        }
    }
    // Upstream defaults a job again when it is read: one without labels has those of its template.
    let labels = at(job, "metadata.labels").and_then(Value::as_object);
    if labels.is_none_or(serde_json::Map::is_empty)
        && let Some(labels) = at(job, "spec.template.metadata.labels").cloned()
    {
        set(job, "metadata.labels", labels);
    }
    if let Some(selected) = ensure(job, "spec.selector.matchLabels") {
        selected
            .entry("batch.kubernetes.io/controller-uid")
            .or_insert(uid.into());
    }
}

/// `autoscaling/v1` requires one count more than `v2`; both are the same stored object.
pub(super) fn create_autoscaler(autoscaler: &mut Value, _: &Context<'_>) {
    if text(autoscaler, "apiVersion") == "autoscaling/v1" {
        set(
            autoscaler,
            "status",
            json!({"currentReplicas": 0, "desiredReplicas": 0}),
        );
    }
}
