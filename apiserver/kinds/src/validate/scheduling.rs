//! Where a pod may run: affinity, tolerations and spreading.

use super::place::Place;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{
    decimal_integer, label_name, label_value, name_is_dns_label, name_is_dns_subdomain,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const WEIGHT: &str = "must be in the range 1-100";
pub(super) const TAINT_EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn affinity(affinity: &Place<'_>, errors: &mut ErrorList) {
    let node = affinity.at("nodeAffinity");
    if node.at(REQUIRED).is_set() {
        node_selector(&node.at(REQUIRED), errors);
    }
    for preferred in node.at(PREFERRED).items() {
        weight(&preferred, errors);
        node_term(&preferred.at("preference"), false, errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(kind);
        for term in pods.at(REQUIRED).items() {
            pod_term(&term, errors);
        }
        for preferred in pods.at(PREFERRED).items() {
            weight(&preferred, errors);
            pod_term(&preferred.at("podAffinityTerm"), errors);
        }
    }
}

fn weight(preferred: &Place<'_>, errors: &mut ErrorList) {
    let weight = preferred.at("weight");
    if !(1..=100).contains(&weight.int()) {
        errors.push(Error::invalid(&weight.path, weight.int(), WEIGHT));
    }
}

/// A selector of nodes, which must have terms.
pub(super) fn node_selector(selector: &Place<'_>, errors: &mut ErrorList) {
    let terms = selector.at("nodeSelectorTerms");
    if terms.is_empty() {
        terms.required("must have at least one node selector term", errors);
    }
    for term in terms.items() {
        node_term(&term, true, errors);
    }
}

fn node_term(term: &Place<'_>, check_values: bool, errors: &mut ErrorList) {
    for expression in term.at("matchExpressions").items() {
        node_requirement(&expression, check_values, errors);
    }
    for field in term.at("matchFields").items() {
        node_field(&field, errors);
    }
}

fn node_requirement(requirement: &Place<'_>, check_values: bool, errors: &mut ErrorList) {
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    match operator.text() {
        "In" | "NotIn" if values.is_empty() => {
            values.required(
                "must be specified when `operator` is 'In' or 'NotIn'",
                errors,
            );
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            values.forbidden(detail, errors);
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            values.required(detail, errors);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        unknown => errors.push(Error::invalid(
            &operator.path,
            unknown,
            "not a valid selector operator",
        )),
    }
    let key = requirement.at("key");
    label_name(&key.path, key.text(), errors);
    if check_values {
        for value in values.items() {
            value.messages(label_value(value.text()), errors);
        }
    }
}

fn node_field(requirement: &Place<'_>, errors: &mut ErrorList) {
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    match operator.text() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                values.required(detail, errors);
            }
        }
        unknown => errors.push(Error::invalid(
            &operator.path,
            unknown,
            "not a valid selector operator",
        )),
    }
    let key = requirement.at("key");
    if key.text() != "metadata.name" {
        errors.push(Error::invalid(
            &key.path,
            key.text(),
            "not a valid field selector key",
        ));
        return;
    }
    for value in values.items() {
        value.named(name_is_dns_subdomain, errors);
    }
}

fn pod_term(term: &Place<'_>, errors: &mut ErrorList) {
    term.at("labelSelector").selector(errors);
    term.at("namespaceSelector").selector(errors);
    for namespace in term.at("namespaces").items() {
        for message in name_is_dns_label(namespace.text(), false) {
            errors.push(Error::invalid(
                &term.path.child("namespace"),
                namespace.text(),
                message,
            ));
        }
    }
    for keys in ["matchLabelKeys", "mismatchLabelKeys"] {
        match_label_keys(term, keys, errors);
    }
    topology_key(&term.at("topologyKey"), errors);
}

fn topology_key(key: &Place<'_>, errors: &mut ErrorList) {
    if key.is_empty() {
        key.required("can not be empty", errors);
    }
    label_name(&key.path, key.text(), errors);
}

/// Keys whose values the pod brings make sense with a selector only.
fn match_label_keys(owner: &Place<'_>, name: &'static str, errors: &mut ErrorList) {
    let keys = owner.at(name);
    if !keys.is_empty() && !owner.at("labelSelector").is_set() {
        keys.forbidden(
            "must not be specified when labelSelector is not set",
            errors,
        );
    }
    for key in keys.items() {
        label_name(&key.path, key.text(), errors);
    }
}

pub(super) fn tolerations(tolerations: &Place<'_>, errors: &mut ErrorList) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.at("key"), toleration.at("operator"));
        let (value, effect) = (toleration.at("value"), toleration.at("effect"));
        if !key.is_empty() {
            label_name(&key.path, key.text(), errors);
        } else if operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&operator.path, operator.text(), detail));
        }
        if toleration.at("tolerationSeconds").is_set() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&effect.path, effect.text(), detail));
        }
        match operator.text() {
            "" | "Equal" => {
                let messages = label_value(value.text());
                if !messages.is_empty() {
                    let detail = messages.join(";");
                    errors.push(Error::invalid(&operator.path, value.text(), detail));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    errors.push(Error::invalid(&operator.path, value.text(), detail));
                }
            }
            "Lt" | "Gt" => value.messages(decimal_integer(value.text()), errors),
            _ => operator.supported(&["Equal", "Exists"], errors),
        }
        if !effect.is_empty() {
            effect.supported(TAINT_EFFECTS, errors);
        }
    }
}

pub(super) fn spread(constraints: &Place<'_>, errors: &mut ErrorList) {
    let all: Vec<Place<'_>> = constraints.items().collect();
    for (index, constraint) in all.iter().enumerate() {
        constraint.at("maxSkew").positive(errors);
        topology_key_of_spread(&constraint.at("topologyKey"), errors);
        let action = constraint.at("whenUnsatisfiable");
        action.supported(&["DoNotSchedule", "ScheduleAnyway"], errors);
        let key = |place: &Place<'_>| {
            format!(
                "{{{}, {}}}",
                place.at("topologyKey").text(),
                place.at("whenUnsatisfiable").text()
            )
        };
        if all[index + 1..]
            .iter()
            .any(|other| key(other) == key(constraint))
        {
            let path = constraint.path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&path, key(constraint)));
        }
        min_domains(constraint, errors);
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            constraint
                .at(policy)
                .optional_one_of(&["Honor", "Ignore"], errors);
        }
        match_label_keys(constraint, "matchLabelKeys", errors);
        constraint.at("labelSelector").selector(errors);
    }
}

fn topology_key_of_spread(key: &Place<'_>, errors: &mut ErrorList) {
    if key.is_empty() {
        key.required("can not be empty", errors);
    } else {
        label_name(&key.path, key.text(), errors);
    }
}

fn min_domains(constraint: &Place<'_>, errors: &mut ErrorList) {
    let domains = constraint.at("minDomains");
    if !domains.is_set() {
        return;
    }
    domains.positive(errors);
    let action = constraint.at("whenUnsatisfiable").text();
    if action != "DoNotSchedule" {
        let detail =
            format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        domains.invalid(detail, errors);
    }
}
