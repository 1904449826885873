//! Probes and lifecycle hooks.

use super::place::Place;
use crate::value::{has, number, text};
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::http_header_name;
use serde_json::Value;

/// The probes of a container.
pub(super) fn all(container: &Place<'_>, errors: &mut ErrorList) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.at(name);
        if !probe.is_set() {
            continue;
        }
        of_container(&probe, errors);
        let threshold = probe.at("successThreshold");
        if name != "readinessProbe" && threshold.int() != 1 {
            threshold.invalid("must be 1", errors);
        }
        let grace = probe.at("terminationGracePeriodSeconds");
        if name == "readinessProbe" && grace.is_set() {
            grace.invalid("must not be set for readinessProbes", errors);
        }
    }
}

fn of_container(probe: &Place<'_>, errors: &mut ErrorList) {
    handler(probe, None, errors);
    for name in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        probe.at(name).nonnegative(errors);
    }
    let grace = probe.at("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds <= 0) {
        grace.invalid("must be greater than 0", errors);
    }
}

pub(super) fn lifecycle(lifecycle: &Place<'_>, spec: &Value, errors: &mut ErrorList) {
    let grace = number(spec, "terminationGracePeriodSeconds");
    for name in ["postStart", "preStop"] {
        if lifecycle.at(name).is_set() {
            handler(&lifecycle.at(name), grace, errors);
        }
    }
    let signal = lifecycle.at("stopSignal");
    if !signal.is_set() {
        return;
    }
    if !has(spec, "os") {
        signal.forbidden(
            "may not be set for containers with empty `spec.os.name`",
            errors,
        );
    } else if text(spec, "os.name") == "windows" {
        signal.supported(&["SIGKILL", "SIGTERM"], errors);
    }
}

/// Exactly one way to act.
fn handler(handler: &Place<'_>, grace: Option<i64>, errors: &mut ErrorList) {
    let mut given = 0;
    for kind in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        let action = handler.at(kind);
        if !action.is_set() {
            continue;
        }
        given += 1;
        if given > 1 {
            action.forbidden("may not specify more than 1 handler type", errors);
            continue;
        }
        match kind {
            "exec" => action.at("command").must_be_set(errors),
            "httpGet" => http(&action, errors),
            "sleep" => sleep(&action, grace, errors),
            _ => action.at("port").port_or_name(errors),
        }
    }
    if given == 0 {
        handler.required("must specify a handler type", errors);
    }
}

fn http(action: &Place<'_>, errors: &mut ErrorList) {
    action.at("path").must_be_set(errors);
    action.at("port").port_or_name(errors);
    action.at("scheme").supported(&["HTTP", "HTTPS"], errors);
    for header in action.at("httpHeaders").items() {
        let name = header.at("name").text();
        for message in http_header_name(name) {
            errors.push(Error::invalid(
                &action.at("httpHeaders").path,
                name,
                message,
            ));
        }
    }
}

fn sleep(action: &Place<'_>, grace: Option<i64>, errors: &mut ErrorList) {
    let seconds = action.at("seconds").int();
    let Some(grace) = grace else { return };
    if seconds < 0 || seconds > grace {
        let detail =
            format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(&action.path, seconds, detail));
    }
}
