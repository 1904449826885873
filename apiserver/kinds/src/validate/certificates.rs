//! Certificate signing requests, and events.

use super::place::Place;
use crate::strategy::Part;
use crate::value::{list, same, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{FIELD_IMMUTABLE, dns1123_subdomain, qualified_name};
use serde_json::Value;
use std::collections::BTreeSet;

const SIGNER_BYTES_MAX: usize = 571;
const EXPIRATION_SECONDS_MIN: i64 = 600;
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub(super) fn request(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let request = spec.at("request");
    if request.is_empty() {
        request.required("", errors);
    } else {
        let bytes = STANDARD.decode(request.text()).unwrap_or_default();
        if !bytes
            .windows(30)
            .any(|part| part == b"-----BEGIN CERTIFICATE REQUEST")
        {
            let detail = "PEM block type must be CERTIFICATE REQUEST";
            request.invalid(detail, errors);
        }
    }
    let usages = spec.at("usages");
    usages.must_be_set(errors);
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        usage.supported(USAGES, errors);
        if !seen.insert(usage.text()) {
            usage.duplicate(errors);
        }
    }
    signer_name(&spec.at("signerName"), errors);
    let expiration = spec.at("expirationSeconds");
    if expiration
        .number()
        .is_some_and(|seconds| seconds < EXPIRATION_SECONDS_MIN)
    {
        expiration.invalid(
            "may not specify a duration less than 600 seconds (10 minutes)",
            errors,
        );
    }
    conditions(object, None, errors);
}

/// A domain and a path below it: `example.com/signer`.
fn signer_name(signer: &Place<'_>, errors: &mut ErrorList) {
    if signer.is_empty() {
        signer.required("", errors);
        return;
    }
    let Some((domain, path)) = signer
        .text()
        .split_once('/')
        .filter(|(_, path)| !path.contains('/'))
    else {
        signer.invalid(
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            errors,
        );
        return;
    };
    signer.messages(dns1123_subdomain(domain), errors);
    if !domain.contains('.') {
        signer.invalid(
            "should be a domain with at least two segments separated by dots",
            errors,
        );
    }
    if path.is_empty() {
        let detail = "validating path segment after '/': must not be empty";
        signer.invalid(detail, errors);
    } else {
        signer.messages(dns1123_subdomain(path), errors);
    }
    if signer.text().len() > SIGNER_BYTES_MAX {
        errors.push(Error::too_long(&signer.path, SIGNER_BYTES_MAX));
    }
}

/// Decisions are made once and are one or the other.
fn conditions(object: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let place = Place::top(object, "status").at("conditions");
    let mut seen = BTreeSet::new();
    for condition in place.items() {
        let (kind, status) = (condition.at("type"), condition.at("status"));
        kind.must_be_set(errors);
        let decides = matches!(kind.text(), "Approved" | "Denied" | "Failed");
        if decides && status.text() != "True" {
            status.supported(&["True"], errors);
        } else {
            status.one_of(&["False", "True", "Unknown"], errors);
        }
        let had = |old: &Value| {
            list(old, "status.conditions")
                .iter()
                .filter(|c| text(c, "type") == kind.text())
                .count()
        };
        if !seen.insert(kind.text()) && old.is_none_or(|old| had(old) < 2) {
            errors.push(Error::duplicate(&kind.path, kind.text()));
        }
    }
    if seen.contains("Approved") && seen.contains("Denied") {
        let denied = place
            .items()
            .position(|c| c.at("type").text() == "Denied")
            .unwrap_or(0);
        let path = place.path.index(denied).child("type");
        errors.push(Error::invalid(
            &path,
            "Denied",
            "Approved and Denied conditions are mutually exclusive",
        ));
    }
}

pub(super) fn update_request(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    conditions(new, Some(old), errors);
    let path = Path::new("status").child("conditions");
    let of_kind = |request: &Value, kind: &str| -> Vec<Value> {
        list(request, "status.conditions")
            .iter()
            .filter(|c| text(c, "type") == kind)
            .cloned()
            .collect()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        let (after, before) = (of_kind(new, kind), of_kind(old, kind));
        let may_add = (part == Part::Approval && kind != "Failed")
            || (part == Part::Status && kind == "Failed");
        if after.len() < before.len() {
            let detail = format!("updates may not remove a condition of type \"{kind}\"");
            errors.push(Error::forbidden(&path, detail));
        } else if after.len() > before.len() && !may_add {
            let detail = format!("updates may not add a condition of type \"{kind}\"");
            errors.push(Error::forbidden(&path, detail));
        }
    }
    let certificate = |request: &Value| text(request, "status.certificate").to_owned();
    if certificate(new) != certificate(old) {
        let place = Place::top(new, "status").at("certificate");
        if part != Part::Status {
            place.forbidden("updates may not set certificate content", errors);
        } else if !certificate(old).is_empty() {
            place.forbidden(
                "updates may not modify existing certificate content",
                errors,
            );
        }
    }
}

pub(super) fn event(object: &Value, errors: &mut ErrorList) {
    let metadata = Place::top(object, "metadata");
    let involved = if object.get("regarding").is_some() {
        "regarding"
    } else {
        "involvedObject"
    };
    let namespace = Place::top(object, involved).at("namespace");
    let own = metadata.at("namespace").text();
    let fits = if namespace.is_empty() {
        own == "default"
    } else {
        namespace.text() == own
    };
    if !fits {
        errors.push(Error::invalid(
            &namespace.path,
            namespace.text(),
            "does not match event.namespace",
        ));
    }
    // Events that carry eventTime are written by clients of the new API, which asks for more.
    if Place::top(object, "eventTime").is_empty() {
        return;
    }
    let component = if object.get("regarding").is_some() {
        "reportingController"
    } else {
        "reportingComponent"
    };
    let controller = Place::top(object, component);
    if controller.is_empty() {
        errors.push(Error::required(&Path::new("reportingController"), ""));
    } else {
        for message in qualified_name(controller.text()) {
            errors.push(Error::invalid(
                &Path::new("reportingController"),
                controller.text(),
                message,
            ));
        }
    }
    for name in ["reportingInstance", "action", "reason"] {
        let place = Place::top(object, name);
        if place.is_empty() {
            place.required("", errors);
        }
    }
    Place::top(object, "type").supported(&["Normal", "Warning"], errors);
}

pub(super) fn update_event(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    if Place::top(old, "eventTime").is_empty() {
        return;
    }
    for name in [
        "involvedObject",
        "regarding",
        "reason",
        "action",
        "reportingComponent",
        "reportingController",
        "reportingInstance",
        "type",
        "eventTime",
    ] {
        if !same(new.get(name), old.get(name)) {
            Place::top(new, name).invalid(FIELD_IMMUTABLE, errors);
        }
    }
}
