//! The cells of controllers and jobs.

use super::cells::{NONE, is_true};
use crate::selectors::selector_text;
use crate::time::{ago, human_duration, parse_millis};
use crate::value::{at, flag, has, int, list, number, text};
use serde_json::Value;

pub(super) fn ready(set: &Value, _: i64) -> Value {
    format!(
        "{}/{}",
        int(set, "status.readyReplicas"),
        int(set, "spec.replicas")
    )
    .into()
}

pub(super) fn deployment_selector(deployment: &Value, _: i64) -> Value {
    selector_text(at(deployment, "spec.selector"))
        .unwrap_or_else(|| "<invalid>".to_owned())
        .into()
}

/// Kind, group and name of the owner that controls the object.
pub(super) fn controller(object: &Value, _: i64) -> Value {
    let mut owners = list(object, "metadata.ownerReferences").iter();
    let Some(owner) = owners.find(|owner| flag(owner, "controller")) else {
        return NONE.into();
    };
    let group = text(owner, "apiVersion")
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let kind = text(owner, "kind").to_lowercase();
    let dot = if group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{group}/{}", text(owner, "name")).into()
}

pub(super) fn job_status(job: &Value, _: i64) -> Value {
    let deleted = has(job, "metadata.deletionTimestamp");
    let status = match () {
        () if is_true(job, "Complete") => "Complete",
        () if is_true(job, "Failed") => "Failed",
        () if deleted => "Terminating",
        () if is_true(job, "Suspended") => "Suspended",
        () if is_true(job, "FailureTarget") => "FailureTarget",
        () if is_true(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    status.into()
}

pub(super) fn completions(job: &Value, _: i64) -> Value {
    let succeeded = int(job, "status.succeeded");
    match (
        number(job, "spec.completions"),
        int(job, "spec.parallelism"),
    ) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}").into(),
        (None, 2..) => format!("{succeeded}/1 of {}", int(job, "spec.parallelism")).into(),
        (None, _) => format!("{succeeded}/1").into(),
    }
}

pub(super) fn job_duration(job: &Value, now_millis: i64) -> Value {
    let time = |path| parse_millis(text(job, path));
    match time("status.startTime") {
        Some(start) => {
            let end = time("status.completionTime").unwrap_or(now_millis);
            human_duration(end.saturating_sub(start)).into()
        }
        None => "".into(),
    }
}

/// Upstream prints this boolean as text: `True`, `False` or `<unset>`.
pub(super) fn suspended(cron_job: &Value, _: i64) -> Value {
    match at(cron_job, "spec.suspend") {
        Some(suspended) if suspended == true => "True".into(),
        Some(_) => "False".into(),
        None => super::cells::UNSET.into(),
    }
}

pub(super) fn last_schedule(cron_job: &Value, now_millis: i64) -> Value {
    match at(cron_job, "status.lastScheduleTime") {
        Some(time) => ago(Some(time), now_millis).into(),
        None => NONE.into(),
    }
}
