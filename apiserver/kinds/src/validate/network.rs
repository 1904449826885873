//! Ingresses and network policies.

use super::place::Place;
use crate::strategy::Part;
use crate::value::{entry_text, has};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::{
    cidr_legacy, dns1123_subdomain, domain_prefixed_path, masked, name_is_dns_label,
    name_is_dns_subdomain, parse_cidr_sloppy, parse_ip_sloppy, path_segment_name, port_name,
    wildcard_dns1123_subdomain,
};
use serde_json::Value;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const CONTROLLER_BYTES_MAX: usize = 250;
/// What a path with a defined meaning may not hold, and may not end with.
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: [&str; 2] = ["/..", "/."];

pub(super) fn create_ingress(object: &Value, errors: &mut ErrorList) {
    ingress(object, errors);
    let class = Place::top(object, "spec").at("ingressClassName");
    let annotation = entry_text(object, "metadata.annotations", CLASS_ANNOTATION);
    if !annotation.is_empty() && class.is_set() && class.text() != annotation {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        let detail = "must match `ingressClassName` when both are specified";
        errors.push(Error::invalid(&path, annotation, detail));
    }
}

pub(super) fn update_ingress(new: &Value, _: &Value, part: Part, errors: &mut ErrorList) {
    if part == Part::Main {
        ingress(new, errors);
        return;
    }
    for point in Place::top(new, "status").at("loadBalancer.ingress").items() {
        if !point.at("ip").is_empty() {
            point.at("ip").legacy_ip(errors);
        }
        let host = point.at("hostname");
        if !host.is_empty() {
            host.dns_subdomain(errors);
            not_an_address(&host, errors);
        }
    }
}

fn not_an_address(host: &Place<'_>, errors: &mut ErrorList) {
    if parse_ip_sloppy(host.text()).is_some() {
        host.invalid("must be a DNS name, not an IP address", errors);
    }
}

fn host_name(host: &Place<'_>, errors: &mut ErrorList) {
    let messages = if host.text().contains('*') {
        wildcard_dns1123_subdomain(host.text())
    } else {
        dns1123_subdomain(host.text())
    };
    host.messages(messages, errors);
}

fn ingress(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let (rules, default) = (spec.at("rules"), spec.at("defaultBackend"));
    if rules.is_empty() && !default.is_set() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&spec.path, rules.value.clone(), detail));
    }
    if default.is_set() {
        backend(&default, errors);
    }
    for rule in rules.items() {
        if !rule.at("host").is_empty() {
            not_an_address(&rule.at("host"), errors);
            host_name(&rule.at("host"), errors);
        }
        if rule.at("http").is_set() {
            rule.at("http.paths").must_be_set(errors);
            for path in rule.at("http.paths").items() {
                http_path(&path, errors);
            }
        }
    }
    for tls in spec.at("tls").items() {
        for host in tls.at("hosts").items() {
            host_name(&host, errors);
        }
        if !tls.at("secretName").is_empty() {
            tls.at("secretName").named(name_is_dns_subdomain, errors);
        }
    }
    if spec.at("ingressClassName").is_set() {
        spec.at("ingressClassName")
            .named(name_is_dns_subdomain, errors);
    }
}

fn http_path(place: &Place<'_>, errors: &mut ErrorList) {
    let (kind, path) = (place.at("pathType"), place.at("path"));
    if !kind.is_set() {
        kind.required("pathType must be specified", errors);
        return;
    }
    let absolute = path.text().starts_with('/');
    let not_absolute = || Error::invalid(&path.path, path.text(), "must be an absolute path");
    match kind.text() {
        "Exact" | "Prefix" => {
            if !absolute {
                errors.push(not_absolute());
            }
            for bad in BAD_SEQUENCES
                .iter()
                .filter(|bad| path.text().contains(**bad))
            {
                path.invalid(format!("must not contain '{bad}'"), errors);
            }
            for bad in BAD_SUFFIXES
                .iter()
                .filter(|bad| path.text().ends_with(**bad))
            {
                path.invalid(format!("cannot end with '{bad}'"), errors);
            }
        }
        "ImplementationSpecific" => {
            if !path.is_empty() && !absolute {
                errors.push(not_absolute());
            }
        }
        _ => kind.supported(&["Exact", "ImplementationSpecific", "Prefix"], errors),
    }
    backend(&place.at("backend"), errors);
}

fn backend(backend: &Place<'_>, errors: &mut ErrorList) {
    let (resource, service) = (backend.at("resource"), backend.at("service"));
    let mut invalid = |detail: &str| errors.push(Error::invalid(&backend.path, "", detail));
    match (resource.is_set(), service.is_set()) {
        (true, true) => invalid("cannot set both resource and service backends"),
        (false, false) => invalid("resource or service backend is required"),
        (true, false) => {
            resource.at("kind").must_be_set(errors);
            resource.at("name").must_be_set(errors);
        }
        (false, true) => service_backend(backend, &service, errors),
    }
}

fn service_backend(backend: &Place<'_>, service: &Place<'_>, errors: &mut ErrorList) {
    let name = service.at("name");
    if name.is_empty() {
        name.required("", errors);
    } else {
        name.named(name_is_dns_label, errors);
    }
    let (port, number) = (service.at("port.name"), service.at("port.number"));
    match (!port.is_empty(), number.int() != 0) {
        (true, true) => {
            let detail = "cannot set both port name & port number";
            errors.push(Error::invalid(&backend.path, "", detail));
        }
        (true, false) => port.messages(port_name(port.text()), errors),
        (false, true) => number.port(errors),
        (false, false) => backend.required("port name or number is required", errors),
    }
}

pub(super) fn ingress_class(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let controller = spec.at("controller");
    if controller.text().len() > CONTROLLER_BYTES_MAX {
        errors.push(Error::too_long(&controller.path, CONTROLLER_BYTES_MAX));
    }
    errors.extend(domain_prefixed_path(&controller.path, controller.text()));
    let parameters = spec.at("parameters");
    if !parameters.is_set() {
        return;
    }
    if parameters.at("apiGroup").is_set() {
        parameters.at("apiGroup").dns_subdomain(errors);
    }
    for name in ["kind", "name"] {
        let place = parameters.at(name);
        if place.is_empty() {
            place.required("", errors);
        } else {
            place.messages(path_segment_name(place.text()), errors);
        }
    }
    let (scope, namespace) = (parameters.at("scope"), parameters.at("namespace"));
    scope.one_of(&["Cluster", "Namespace"], errors);
    match scope.text() {
        "Namespace" if !namespace.is_set() => {
            namespace.required("`parameters.scope` is set to 'Namespace'", errors);
        }
        "Namespace" => namespace.named(name_is_dns_label, errors),
        "Cluster" if namespace.is_set() => {
            namespace.forbidden("`parameters.scope` is set to 'Cluster'", errors);
        }
        _ => {}
    }
}

pub(super) fn update_ingress_class(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    let (new, old) = (Place::top(new, "spec"), Place::top(old, "spec"));
    new.at("controller")
        .immutable(&old.at("controller"), errors);
}

pub(super) fn network_policy(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    spec.at("podSelector").selector(errors);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(rules).items() {
            for port in rule.at("ports").items() {
                policy_port(&port, errors);
            }
            for peer in rule.at(peers).items() {
                policy_peer(&peer, errors);
            }
        }
    }
    let types = spec.at("policyTypes");
    if types.len() > 2 {
        types.invalid("may not specify more than two policyTypes", errors);
        return;
    }
    for kind in types.items() {
        kind.supported(&["Ingress", "Egress"], errors);
    }
}

fn policy_port(port: &Place<'_>, errors: &mut ErrorList) {
    // The order upstream prints them in.
    port.at("protocol")
        .optional_one_of(&["TCP", "UDP", "SCTP"], errors);
    let (first, last) = (port.at("port"), port.at("endPort"));
    if !first.is_set() {
        if last.is_set() {
            first.required("must be specified when `endPort` is specified", errors);
        }
        return;
    }
    first.port_or_name(errors);
    if !last.is_set() {
        return;
    }
    if first.value.is_string() {
        last.invalid("may not be specified when `port` is non-numeric", errors);
    } else {
        if last.int() < first.int() {
            let detail = "must be greater than or equal to `port`";
            last.invalid(detail, errors);
        }
        last.port(errors);
    }
}

fn policy_peer(peer: &Place<'_>, errors: &mut ErrorList) {
    let selectors = ["podSelector", "namespaceSelector"];
    let selected = selectors.iter().any(|name| has(peer.value, name));
    for name in selectors {
        peer.at(name).selector(errors);
    }
    let block = peer.at("ipBlock");
    if block.is_set() {
        ip_block(&block, errors);
    }
    match (selected, block.is_set()) {
        (false, false) => peer.required("must specify a peer", errors),
        (true, true) => {
            let detail = "may not specify both ipBlock and another peer";
            peer.forbidden(detail, errors);
        }
        _ => {}
    }
}

fn ip_block(block: &Place<'_>, errors: &mut ErrorList) {
    let cidr = block.at("cidr");
    if cidr.is_empty() {
        cidr.required("", errors);
        return;
    }
    errors.extend(cidr_legacy(&cidr.path, cidr.text()));
    let Some((network, bits)) = parse_cidr_sloppy(cidr.text()) else {
        return;
    };
    for except in block.at("except").items() {
        errors.extend(cidr_legacy(&except.path, except.text()));
        let Some((inner, inner_bits)) = parse_cidr_sloppy(except.text()) else {
            continue;
        };
        let inside = inner.is_ipv4() == network.is_ipv4()
            && masked(inner, bits) == masked(network, bits)
            && bits < inner_bits;
        if !inside {
            except.invalid("must be a strict subset of `cidr`", errors);
        }
    }
}
