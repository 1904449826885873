//! The spec of a pod, and templates of pods.

use super::containers::{self, Pod};
use super::place::Place;
use super::{resources, scheduling, security, volumes};
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{
    annotations, dns1123_subdomain_with_underscore, labels, name_is_dns_subdomain, range_error,
};
use serde_json::Value;
use std::collections::BTreeSet;

const INT32_MAX: i64 = i32::MAX as i64;
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 2048;
const HOSTNAME_BYTES_MAX: usize = 64;
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A whole pod spec; `pod_name` is "" for templates. `of_pod` is false for templates.
pub(super) fn pod_spec(spec: &Place<'_>, pod_name: &str, of_pod: bool, errors: &mut ErrorList) {
    let grace = spec.at("terminationGracePeriodSeconds");
    if !grace.is_set() {
        grace.required("", errors);
    }
    let volumes = volumes::all(&spec.at("volumes"), pod_name, errors);
    resource_claims(&spec.at("resourceClaims"), errors);
    containers::all(
        spec,
        &Pod {
            spec: spec.value,
            volumes,
        },
        errors,
    );
    whole_pod_resources(spec, errors);
    host_ports(spec, of_pod, errors);
    spec.at("restartPolicy")
        .one_of(&["Always", "OnFailure", "Never"], errors);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    spec.at("dnsPolicy").one_of(&policies, errors);
    spec.at("nodeSelector").labels(errors);
    security::of_pod(spec, errors);
    scheduling::affinity(&spec.at("affinity"), errors);
    dns(spec, errors);
    gates(spec, errors);
    scheduling::spread(&spec.at("topologySpreadConstraints"), errors);
    host_name(spec, errors);
    names(spec, errors);
    let deadline = spec.at("activeDeadlineSeconds");
    if deadline
        .number()
        .is_some_and(|seconds| !(1..=INT32_MAX).contains(&seconds))
    {
        deadline.invalid(range_error(1, INT32_MAX), errors);
    }
    scheduling::tolerations(&spec.at("tolerations"), errors);
    host_aliases(&spec.at("hostAliases"), errors);
    spec.at("preemptionPolicy")
        .optional_one_of(&["PreemptLowerPriority", "Never"], errors);
    for (name, amount) in spec.at("overhead").entries() {
        resources::name(name, &amount.path, errors);
        resources::amount(name, &amount, errors);
    }
    operating_system(spec, errors);
}

fn resource_claims(claims: &Place<'_>, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for claim in claims.items() {
        let name = claim.at("name");
        if name.is_empty() {
            name.required("", errors);
        } else if !seen.insert(name.text()) {
            name.duplicate(errors);
        } else {
            name.dns_label(errors);
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        let given = sources
            .iter()
            .filter(|source| claim.at(source).is_set())
            .count();
        if given > 1 {
            let detail = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            claim.invalid(detail, errors);
        } else if given == 0 {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            claim.invalid(detail, errors);
        }
        for source in sources {
            if claim.at(source).is_set() {
                claim.at(source).named(name_is_dns_subdomain, errors);
            }
        }
    }
}

fn whole_pod_resources(spec: &Place<'_>, errors: &mut ErrorList) {
    let whole = spec.at("resources");
    if !whole.is_set() {
        return;
    }
    if spec.at("os.name").text() == "windows" {
        whole.forbidden("may not be set for a windows pod", errors);
        return;
    }
    if whole.at("claims").is_set() {
        let detail = "claims may not be set for Resources at pod-level";
        whole.at("claims").forbidden(detail, errors);
    }
    resources::requirements(&whole, resources::Owner::Pod, errors);
}

/// In the host's network a port of the container is that of the host.
fn host_ports(spec: &Place<'_>, of_pod: bool, errors: &mut ErrorList) {
    if !spec.at("hostNetwork").flag() {
        return;
    }
    for port in spec
        .at("containers")
        .items()
        .flat_map(|container| container.at("ports").items())
    {
        let (host, container) = (port.at("hostPort"), port.at("containerPort").int());
        if (of_pod || host.int() != 0) && host.int() != container {
            let detail = "must match `containerPort` when `hostNetwork` is true";
            errors.push(Error::invalid(&host.path, host.int(), detail));
        }
    }
}

fn dns(spec: &Place<'_>, errors: &mut ErrorList) {
    let config = spec.at("dnsConfig");
    let servers = config.at("nameservers");
    if spec.at("dnsPolicy").text() == "None" {
        if !config.is_set() {
            config.required("must provide `dnsConfig` when `dnsPolicy` is None", errors);
            return;
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            servers.required(detail, errors);
            return;
        }
    }
    if servers.len() > NAMESERVERS_MAX {
        servers.invalid(
            format!("must not have more than {NAMESERVERS_MAX} nameservers"),
            errors,
        );
    }
    for server in servers.items() {
        server.legacy_ip(errors);
    }
    let searches = config.at("searches");
    if searches.len() > SEARCHES_MAX {
        searches.invalid(
            format!("must not have more than {SEARCHES_MAX} search paths"),
            errors,
        );
    }
    let chars: usize = searches.items().map(|search| search.text().len() + 1).sum();
    if chars > SEARCH_CHARS_MAX + 1 {
        let detail = format!(
            "must not have more than {SEARCH_CHARS_MAX} characters (including spaces) in the search list"
        );
        searches.invalid(detail, errors);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let name = search.text().strip_suffix('.').unwrap_or(search.text());
        for message in dns1123_subdomain_with_underscore(name) {
            errors.push(Error::invalid(&search.path, name, message));
        }
    }
    for option in config.at("options").items() {
        if option.at("name").is_empty() {
            option.required("must not be empty", errors);
        }
    }
}

fn gates(spec: &Place<'_>, errors: &mut ErrorList) {
    for gate in spec.at("readinessGates").items() {
        gate.at("conditionType").qualified_name(errors);
    }
    let mut seen = BTreeSet::new();
    for gate in spec.at("schedulingGates").items() {
        let name = gate.at("name").text();
        let named = Place {
            value: gate.at("name").value,
            path: gate.path.clone(),
        };
        named.qualified_name(errors);
        if !seen.insert(name) {
            named.duplicate(errors);
        }
    }
}

fn host_name(spec: &Place<'_>, errors: &mut ErrorList) {
    for name in ["hostname", "subdomain"] {
        if !spec.at(name).is_empty() {
            spec.at(name).dns_label(errors);
        }
    }
    let name = spec.at("hostnameOverride");
    if !name.is_set() {
        return;
    }
    for (field, detail) in [
        (
            "setHostnameAsFQDN",
            "may not be specified when setHostnameAsFQDN is true",
        ),
        (
            "hostNetwork",
            "may not be specified when hostNetwork is true",
        ),
    ] {
        if spec.at(field).flag() {
            name.forbidden(detail, errors);
        }
    }
    if name.text().len() > HOSTNAME_BYTES_MAX {
        errors.push(Error::too_long(&name.path, HOSTNAME_BYTES_MAX));
    }
    name.dns_subdomain(errors);
}

fn names(spec: &Place<'_>, errors: &mut ErrorList) {
    for name in ["serviceAccountName", "nodeName", "priorityClassName"] {
        if !spec.at(name).is_empty() {
            spec.at(name).named(name_is_dns_subdomain, errors);
        }
    }
    if spec.at("runtimeClassName").is_set() {
        spec.at("runtimeClassName")
            .named(name_is_dns_subdomain, errors);
    }
}

fn host_aliases(aliases: &Place<'_>, errors: &mut ErrorList) {
    for alias in aliases.items() {
        alias.at("ip").legacy_ip(errors);
        for name in alias.at("hostnames").items() {
            name.dns_subdomain(errors);
        }
    }
}

/// What means nothing to one system may not be set for it.
fn operating_system(spec: &Place<'_>, errors: &mut ErrorList) {
    let os = spec.at("os");
    if !os.is_set() {
        return;
    }
    match os.at("name").text() {
        "" => os.at("name").required("", errors),
        "linux" | "windows" => {}
        // Upstream's path ends here.
        name => errors.push(Error::not_supported(&os.path, name, &["linux", "windows"])),
    }
    match os.at("name").text() {
        "linux" if spec.at("securityContext.windowsOptions").is_set() => {
            let detail = "windows options cannot be set for a linux pod";
            spec.at("securityContext.windowsOptions")
                .forbidden(detail, errors);
        }
        "windows" => {
            for field in ["hostPID", "hostIPC", "shareProcessNamespace"] {
                if spec.at(field).flag() {
                    spec.at(field)
                        .forbidden("cannot be set for a windows pod", errors);
                }
            }
        }
        _ => {}
    }
}

/// A template of pods, of a controller.
pub(super) fn template(template: &Place<'_>, errors: &mut ErrorList) {
    if let Some(map) = template.at("metadata.labels").value.as_object() {
        labels(&template.path.child("labels"), map, errors);
    }
    if let Some(map) = template.at("metadata.annotations").value.as_object() {
        let path = template.path.child("annotations");
        annotations(&path, map, errors);
        pod_annotations(
            &Place {
                value: template.at("metadata.annotations").value,
                path,
            },
            errors,
        );
    }
    pod_spec(&template.at("spec"), "", false, errors);
    let ephemeral = template.at("spec.ephemeralContainers");
    if !ephemeral.is_empty() {
        ephemeral.forbidden("ephemeral containers not allowed in pod template", errors);
    }
}

/// Annotations of a pod that something reads.
pub(super) fn pod_annotations(annotations: &Place<'_>, errors: &mut ErrorList) {
    if let Some(cost) = annotations.value.get(DELETION_COST).and_then(Value::as_str) {
        let canonical = cost
            .parse::<i32>()
            .is_ok_and(|number| number.to_string() == cost);
        if !canonical {
            let path = annotations.path.key(DELETION_COST);
            errors.push(Error::invalid(&path, cost, "must be a 32bit integer"));
        }
    }
}
