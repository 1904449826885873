//! Services.

use super::containers::PROTOCOLS;
use super::endpoints::usable_address;
use super::place::Place;
use crate::strategy::Part;
use crate::value::{at, list, same, text};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{cidr_legacy, ip_legacy, parse_ip_sloppy};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const AFFINITY_SECONDS_MAX: i64 = 86_400;

/// What is wrong with a service's addresses and families: these rules come before any are given out.
#[must_use]
pub fn service_address_errors(object: &Value) -> ErrorList {
    let mut errors = ErrorList::default();
    addresses(
        &Place::top(object, "spec"),
        is_headless(object),
        &mut errors,
    );
    errors
}

fn is_headless(service: &Value) -> bool {
    text(service, "spec.clusterIP") == "None"
        || list(service, "spec.clusterIPs")
            .first()
            .is_some_and(|first| first == "None")
}

pub(super) fn service(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let (kind, headless) = (spec.at("type").text(), is_headless(object));
    if spec.at("ports").is_empty() && !headless && kind != "ExternalName" {
        spec.at("ports").required("", errors);
    }
    if headless && matches!(kind, "LoadBalancer" | "NodePort") {
        let path = spec.at("clusterIPs").path.index(0);
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(Error::invalid(&path, "None", detail));
    }
    if kind == "ExternalName" {
        external_name(&spec, errors);
    }
    ports(&spec, errors);
    spec.at("selector").labels(errors);
    session_affinity(&spec, errors);
    if kind != "ExternalName" {
        addresses(&spec, headless, errors);
    }
    for address in spec.at("externalIPs").items() {
        let malformed = ip_legacy(&address.path, address.text());
        if malformed.is_empty() {
            usable_address(&address, errors);
        }
        errors.extend(malformed);
    }
    spec.at("type").one_of(
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
        errors,
    );
    port_numbers(&spec, errors);
    load_balancer(object, &spec, errors);
    traffic(&spec, errors);
}

fn external_name(spec: &Place<'_>, errors: &mut ErrorList) {
    for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !spec.at(name).is_empty() {
            spec.at(name)
                .forbidden("may not be set for ExternalName services", errors);
        }
    }
    let name = spec.at("externalName");
    let canonical = name.text().strip_suffix('.').unwrap_or(name.text());
    if canonical.is_empty() {
        name.required("", errors);
    } else {
        Place {
            value: &json!(canonical),
            path: name.path,
        }
        .dns_subdomain(errors);
    }
}

fn ports(spec: &Place<'_>, errors: &mut ErrorList) {
    let mut names = BTreeSet::new();
    let several = spec.at("ports").len() > 1;
    for port in spec.at("ports").items() {
        let name = port.at("name");
        if name.is_empty() {
            if several {
                name.required("", errors);
            }
        } else {
            name.dns_label(errors);
            if !names.insert(name.text()) {
                name.duplicate(errors);
            }
        }
        port.at("port").port(errors);
        port.at("protocol").one_of(PROTOCOLS, errors);
        port.at("targetPort").port_or_name(errors);
        if port.at("appProtocol").is_set() {
            port.at("appProtocol").qualified_name(errors);
        }
    }
}

fn port_numbers(spec: &Place<'_>, errors: &mut ErrorList) {
    let all = || spec.at("ports").items();
    if spec.at("type").text() == "ClusterIP" {
        for port in all().filter(|port| port.at("nodePort").int() != 0) {
            port.at("nodePort")
                .forbidden("may not be used when `type` is 'ClusterIP'", errors);
        }
    }
    let mut seen = BTreeSet::new();
    for port in all().filter(|port| port.at("nodePort").int() != 0) {
        if !seen.insert((port.at("protocol").text(), port.at("nodePort").int())) {
            port.at("nodePort").duplicate(errors);
        }
    }
    let mut seen = BTreeSet::new();
    for port in all() {
        let (protocol, number) = (port.at("protocol").text(), port.at("port").int());
        if !seen.insert((protocol, number)) {
            errors.push(Error::duplicate(
                &port.path,
                json!({"port": number, "protocol": protocol}),
            ));
        }
    }
}

fn session_affinity(spec: &Place<'_>, errors: &mut ErrorList) {
    let (affinity, config) = (spec.at("sessionAffinity"), spec.at("sessionAffinityConfig"));
    affinity.one_of(&["ClientIP", "None"], errors);
    match affinity.text() {
        "ClientIP" => {
            let needed = "when session affinity type is ClientIP";
            for place in [
                config.clone(),
                config.at("clientIP"),
                config.at("clientIP.timeoutSeconds"),
            ] {
                if !place.is_set() {
                    place.required(needed, errors);
                    return;
                }
            }
            let timeout = config.at("clientIP.timeoutSeconds");
            if !(1..=AFFINITY_SECONDS_MAX).contains(&timeout.int()) {
                let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                timeout.invalid(detail, errors);
            }
        }
        "None" if config.is_set() => {
            config.forbidden("must not be set when session affinity is None", errors);
        }
        _ => {}
    }
}

fn addresses(spec: &Place<'_>, headless: bool, errors: &mut ErrorList) {
    let (one, all) = (spec.at("clusterIP").text(), spec.at("clusterIPs"));
    let first = all.items().next().map_or("", |first| first.text());
    if one.is_empty() && !all.is_empty() {
        all.invalid("must be empty when `clusterIP` is not specified", errors);
    } else if !one.is_empty() && all.is_empty() {
        all.required("", errors);
    } else if first != one {
        all.invalid("first value must match `clusterIP`", errors);
    }
    families(spec, errors);
    let mut malformed = false;
    for (index, address) in all.items().enumerate() {
        if index == 0 && address.text() == "None" {
            if all.len() > 1 {
                malformed = true;
                all.invalid("'None' must be the first and only value", errors);
            }
            continue;
        }
        let found = ip_legacy(&address.path, address.text());
        malformed |= !found.is_empty();
        errors.extend(found);
    }
    if all.len() > 2 {
        all.invalid("may only hold up to 2 values", errors);
    }
    if malformed {
        return;
    }
    let v6: Vec<Option<bool>> = all
        .items()
        .map(|a| parse_ip_sloppy(a.text()).map(|ip| ip.is_ipv6()))
        .collect();
    if v6.len() == 2 && v6[0] == v6[1] {
        all.invalid("may specify no more than one IP for each IP family", errors);
    }
    if headless {
        return;
    }
    for (index, (address, family)) in all.items().zip(spec.at("ipFamilies").items()).enumerate() {
        let wants_v6 = family.text() == "IPv6";
        if v6[index].is_some_and(|is_v6| is_v6 != wants_v6) {
            let version = if wants_v6 { "IPv6" } else { "IPv4" };
            let detail =
                format!("expected an {version} value as indicated by `ipFamilies[{index}]`");
            address.invalid(detail, errors);
        }
    }
}

fn families(spec: &Place<'_>, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for family in spec.at("ipFamilies").items() {
        family.supported(&["IPv4", "IPv6"], errors);
        if !seen.insert(family.text()) {
            family.duplicate(errors);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    spec.at("ipFamilyPolicy").optional_one_of(&policies, errors);
}

fn load_balancer(object: &Value, spec: &Place<'_>, errors: &mut ErrorList) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let balanced = spec.at("type").text() == "LoadBalancer";
    let ranges = spec.at("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        // Upstream's path begins with a capital here.
        let path = spec.path.child("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY));
        }
        for (index, range) in ranges.items().enumerate() {
            errors.extend(cidr_legacy(&path.index(index), range.text().trim()));
        }
    } else if let Some(given) = crate::value::entry(object, "metadata.annotations", RANGES) {
        let path = Path::new("metadata").child("annotations").key(RANGES);
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY));
        }
        for range in given
            .as_str()
            .unwrap_or("")
            .split(',')
            .map(str::trim)
            .filter(|r| !r.is_empty())
        {
            errors.extend(cidr_legacy(&path, range));
        }
    }
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    if allocate.is_set() && !balanced {
        allocate.forbidden(ONLY, errors);
    }
    if balanced && !allocate.is_set() {
        errors.push(Error::required(
            &Path::new("allocateLoadBalancerNodePorts"),
            "",
        ));
    }
    let class = spec.at("loadBalancerClass");
    if class.is_set() {
        if balanced {
            class.qualified_name(errors);
        } else {
            class.forbidden(ONLY, errors);
        }
    }
}

fn traffic(spec: &Place<'_>, errors: &mut ErrorList) {
    let kind = spec.at("type").text();
    let external = matches!(kind, "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && !spec.at("externalIPs").is_empty());
    let policy = spec.at("externalTrafficPolicy");
    if external {
        policy.one_of(&["Cluster", "Local"], errors);
    } else if !policy.is_empty() {
        policy.invalid("may only be set for externally-accessible services", errors);
    }
    let health = spec.at("healthCheckNodePort");
    // The port is allocated after validation, so it may still be missing.
    if kind == "LoadBalancer" && policy.text() == "Local" {
        if health.int() != 0 {
            health.port(errors);
        }
    } else if health.int() != 0 {
        let detail =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        health.invalid(detail, errors);
    }
    let internal = spec.at("internalTrafficPolicy");
    if internal.is_set() {
        internal.supported(&["Cluster", "Local"], errors);
    } else if matches!(kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        internal.required("", errors);
    }
    let known = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    spec.at("trafficDistribution")
        .optional_one_of(&known, errors);
}

pub(super) fn update(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    let spec = Place::top(new, "spec");
    if part == Part::Status {
        for point in Place::top(new, "status").at("loadBalancer.ingress").items() {
            let ip = point.at("ip");
            if !ip.is_empty() {
                ip.legacy_ip(errors);
            }
            point
                .at("ipMode")
                .optional_one_of(&["Proxy", "VIP"], errors);
        }
        return;
    }
    let kind = |service| text(service, "spec.type");
    let keeps_address = kind(old) != "ExternalName" && kind(new) != "ExternalName";
    let addresses = list(old, "spec.clusterIPs");
    if keeps_address && !addresses.is_empty() {
        let first = |service| list(service, "spec.clusterIPs").first().cloned();
        if !list(new, "spec.clusterIPs").is_empty() && first(new) != first(old) {
            let path = spec.at("clusterIPs").path.index(0);
            let value = list(new, "spec.clusterIPs").to_vec();
            errors.push(Error::invalid(&path, value, "may not change once set"));
        }
    }
    let families = list(old, "spec.ipFamilies");
    if keeps_address && !families.is_empty() {
        let primary = |service| list(service, "spec.ipFamilies").first().cloned();
        if primary(new).is_some() && primary(new) != primary(old) {
            let path = spec.at("ipFamilies").path.index(0);
            errors.push(Error::invalid(
                &path,
                primary(new).unwrap_or_default(),
                "may not change once set",
            ));
        }
    }
    let both_balanced = kind(old) == "LoadBalancer" && kind(new) == "LoadBalancer";
    let class = |service| at(service, "spec.loadBalancerClass");
    if both_balanced && !same(class(new), class(old)) {
        spec.at("loadBalancerClass")
            .invalid("may not change once set", errors);
    }
}
