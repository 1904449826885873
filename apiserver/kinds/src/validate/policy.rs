//! Disruption budgets, priorities, runtime classes, leases, and roles.

use super::cluster::keeps;
use super::place::Place;
use super::workloads::{at_most_all, int_or_percent};
use super::{resources, scheduling};
use crate::strategy::Part;
use crate::value::{flag, int, same, text};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{
    conditions, name_is_dns_label, name_is_dns_subdomain, name_is_path_segment,
};
use serde_json::Value;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
const USER_PRIORITY_MAX: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
const SYSTEM_PRIORITIES: [(&str, i64); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];

pub(super) fn disruption_budget(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let limits = ["minAvailable", "maxUnavailable"];
    if limits.iter().all(|name| spec.at(name).is_set()) {
        spec.invalid("minAvailable and maxUnavailable cannot be both set", errors);
    }
    for name in limits {
        if spec.at(name).is_set() {
            int_or_percent(&spec.at(name), errors);
            at_most_all(&spec.at(name), errors);
        }
    }
    spec.at("selector").selector(errors);
    let known = ["AlwaysAllow", "IfHealthyBudget"];
    spec.at("unhealthyPodEvictionPolicy")
        .optional_one_of(&known, errors);
}

pub(super) fn update_disruption_budget(new: &Value, _: &Value, part: Part, errors: &mut ErrorList) {
    if part != Part::Status {
        disruption_budget(new, errors);
        return;
    }
    let status = Place::top(new, "status");
    let list = status.at("conditions");
    conditions(crate::value::list(list.value, ""), &list.path, errors);
    for name in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        status.at(name).nonnegative(errors);
    }
}

pub(super) fn priority_class(object: &Value, errors: &mut ErrorList) {
    let (name, value) = (text(object, "metadata.name"), int(object, "value"));
    if name.starts_with(SYSTEM_PREFIX) {
        let problem = match SYSTEM_PRIORITIES.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, known)) if *known != value => {
                Some(format!("value of {name} PriorityClass must be {known}"))
            }
            Some(_) if flag(object, "globalDefault") => Some(format!(
                "globalDefault of {name} PriorityClass must be false"
            )),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            let path = Path::new("metadata").child("name");
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {problem}"
            );
            errors.push(Error::forbidden(&path, detail));
        }
    } else if value > USER_PRIORITY_MAX {
        let detail =
            format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        errors.push(Error::forbidden(&Path::new("value"), detail));
    }
    let policies = ["PreemptLowerPriority", "Never"];
    Place::top(object, "preemptionPolicy").optional_one_of(&policies, errors);
}

pub(super) fn update_priority_class(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    if int(new, "value") != int(old, "value") {
        Place::top(new, "value").forbidden("may not be changed in an update.", errors);
    }
    keeps(new, old, &["preemptionPolicy"], errors);
}

pub(super) fn runtime_class(object: &Value, errors: &mut ErrorList) {
    let handler = Place::top(object, "handler");
    if handler.is_empty() {
        handler.required("", errors);
    } else {
        handler.named(name_is_dns_label, errors);
    }
    let overhead = Place::top(object, "overhead");
    for (name, mut amount) in overhead.at("podFixed").entries() {
        // Upstream's path is that of a container's limits.
        amount.path = overhead.path.child("limits").key(name);
        resources::name(name, &amount.path, errors);
        resources::amount(name, &amount, errors);
    }
    let spec = Place::top(object, "scheduling");
    spec.at("nodeSelector").labels(errors);
    scheduling::tolerations(&spec.at("tolerations"), errors);
}

pub(super) fn update_runtime_class(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    keeps(new, old, &["handler"], errors);
}

pub(super) fn lease(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let duration = spec.at("leaseDurationSeconds");
    if duration.number().is_some_and(|seconds| seconds <= 0) {
        duration.invalid("must be greater than 0", errors);
    }
    spec.at("leaseTransitions").nonnegative(errors);
    if !spec.at("preferredHolder").is_empty() && spec.at("strategy").is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        spec.at("preferredHolder").forbidden(detail, errors);
    }
}

pub(super) fn update_lease(new: &Value, _: &Value, _: Part, errors: &mut ErrorList) {
    lease(new, errors);
}

pub(super) fn role(object: &Value, errors: &mut ErrorList) {
    rules(object, true, errors);
}

pub(super) fn update_role(new: &Value, _: &Value, _: Part, errors: &mut ErrorList) {
    rules(new, true, errors);
}

pub(super) fn cluster_role(object: &Value, errors: &mut ErrorList) {
    rules(object, false, errors);
    let aggregation = Place::top(object, "aggregationRule");
    if aggregation.is_set() {
        let selectors = aggregation.at("clusterRoleSelectors");
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            selectors.required(detail, errors);
        }
        for selector in selectors.items() {
            selector.selector(errors);
        }
    }
}

pub(super) fn update_cluster_role(new: &Value, _: &Value, _: Part, errors: &mut ErrorList) {
    cluster_role(new, errors);
}

fn rules(role: &Value, namespaced: bool, errors: &mut ErrorList) {
    for rule in Place::top(role, "rules").items() {
        if rule.at("verbs").is_empty() {
            rule.at("verbs")
                .required("verbs must contain at least one value", errors);
        }
        let (groups, resources) = (rule.at("apiGroups"), rule.at("resources"));
        let urls = rule.at("nonResourceURLs");
        if !urls.is_empty() {
            if namespaced {
                urls.invalid("namespaced rules cannot apply to non-resource URLs", errors);
            }
            if groups.len() + resources.len() + rule.at("resourceNames").len() > 0 {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                urls.invalid(detail, errors);
            }
            continue;
        }
        if groups.is_empty() {
            groups.required("resource rules must supply at least one api group", errors);
        }
        if resources.is_empty() {
            resources.required("resource rules must supply at least one resource", errors);
        }
    }
}

pub(super) fn role_binding(object: &Value, errors: &mut ErrorList) {
    binding(object, true, errors);
}

pub(super) fn cluster_role_binding(object: &Value, errors: &mut ErrorList) {
    binding(object, false, errors);
}

pub(super) fn update_role_binding(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    binding(new, true, errors);
    keeps_role(new, old, errors);
}

pub(super) fn update_cluster_role_binding(
    new: &Value,
    old: &Value,
    _: Part,
    errors: &mut ErrorList,
) {
    binding(new, false, errors);
    keeps_role(new, old, errors);
}

/// A binding grants one role for ever: changing it would change what its creator was allowed to grant.
fn keeps_role(new: &Value, old: &Value, errors: &mut ErrorList) {
    if !same(new.get("roleRef"), old.get("roleRef")) {
        Place::top(new, "roleRef").invalid("cannot change roleRef", errors);
    }
}

fn binding(object: &Value, namespaced: bool, errors: &mut ErrorList) {
    let role = Place::top(object, "roleRef");
    role.at("apiGroup").supported(&[RBAC_GROUP], errors);
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    role.at("kind").supported(kinds, errors);
    if role.at("name").is_empty() {
        role.at("name").required("", errors);
    } else {
        role.at("name").named(name_is_path_segment, errors);
    }
    for subject in Place::top(object, "subjects").items() {
        subject.at("name").must_be_set(errors);
        let group = subject.at("apiGroup");
        match subject.at("kind").text() {
            "ServiceAccount" => {
                if !subject.at("name").is_empty() {
                    subject.at("name").named(name_is_dns_subdomain, errors);
                }
                group.supported(&[""], errors);
                if !namespaced {
                    subject.at("namespace").must_be_set(errors);
                }
            }
            "User" | "Group" => group.supported(&[RBAC_GROUP], errors),
            _ => subject
                .at("kind")
                .supported(&["ServiceAccount", "User", "Group"], errors),
        }
    }
}
