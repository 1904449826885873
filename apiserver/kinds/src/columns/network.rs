//! The cells of services, endpoints and ingresses.

use super::cells::{NONE, joined, listed, name_or_default, or, plain};
use crate::value::{at, int, list, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many addresses, ports or hosts a cell lists.
const LISTED_MAX: usize = 3;
const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

pub(super) fn cluster_ip(service: &Value, _: i64) -> Value {
    let first = list(service, "spec.clusterIPs").first();
    first
        .and_then(Value::as_str)
        .map_or(NONE, |address| or(address, NONE))
        .into()
}

pub(super) fn external_ip(service: &Value, _: i64) -> Value {
    let given = joined(list(service, "spec.externalIPs"));
    match text(service, "spec.type") {
        "ClusterIP" | "NodePort" => or(&given, NONE).into(),
        "LoadBalancer" => {
            let balanced = balancer_addresses(service);
            let both: Vec<&str> = [balanced.as_str(), &given]
                .into_iter()
                .filter(|a| !a.is_empty())
                .collect();
            or(&both.join(","), "<pending>").into()
        }
        "ExternalName" => text(service, "spec.externalName").into(),
        _ => "<unknown>".into(),
    }
}

/// Addresses or else host names of the ingress points, each once, sorted.
fn balancer_addresses(object: &Value) -> String {
    let points = list(object, "status.loadBalancer.ingress").iter();
    let addresses: BTreeSet<&str> = points
        .map(|point| or(text(point, "ip"), text(point, "hostname")))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

pub(super) fn ports(service: &Value, _: i64) -> Value {
    let shown = |port: &Value| {
        let node = match int(port, "nodePort") {
            0 => String::new(),
            node => format!(":{node}"),
        };
        format!("{}{node}/{}", int(port, "port"), text(port, "protocol"))
    };
    let ports: Vec<String> = list(service, "spec.ports").iter().map(shown).collect();
    or(&ports.join(","), NONE).into()
}

pub(super) fn endpoints(endpoints: &Value, _: i64) -> Value {
    let mut shown = Vec::new();
    for subset in list(endpoints, "subsets") {
        let addresses = list(subset, "addresses");
        let ports = list(subset, "ports");
        if ports.is_empty() {
            shown.extend(
                addresses
                    .iter()
                    .map(|address| text(address, "ip").to_owned()),
            );
        }
        for port in ports {
            let with_port = |address: &Value| host_port(text(address, "ip"), int(port, "port"));
            shown.extend(addresses.iter().map(with_port));
        }
    }
    if list(endpoints, "subsets").is_empty() {
        return NONE.into();
    }
    if shown.is_empty() {
        "".into()
    } else {
        listed(&shown, LISTED_MAX, ",").into()
    }
}

fn host_port(host: &str, port: i64) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

pub(super) fn slice_ports(slice: &Value, _: i64) -> Value {
    let shown = |port: &Value| match at(port, "port") {
        Some(number) => number.to_string(),
        None => plain(at(port, "name"), "*"),
    };
    let ports: Vec<String> = list(slice, "ports").iter().map(shown).collect();
    unset_or_listed(&ports)
}

pub(super) fn slice_endpoints(slice: &Value, _: i64) -> Value {
    let endpoints = list(slice, "endpoints").iter();
    let addresses = endpoints.flat_map(|endpoint| list(endpoint, "addresses"));
    let addresses: Vec<String> = addresses
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    unset_or_listed(&addresses)
}

fn unset_or_listed(items: &[String]) -> Value {
    if items.is_empty() {
        "<unset>".into()
    } else {
        listed(items, LISTED_MAX, ",").into()
    }
}

/// The first hosts; rules after them count whether they have a host or not.
pub(super) fn hosts(ingress: &Value, _: i64) -> Value {
    let rules = list(ingress, "spec.rules");
    let named = rules
        .iter()
        .map(|rule| text(rule, "host"))
        .filter(|host| !host.is_empty());
    let hosts: Vec<&str> = named.take(LISTED_MAX).collect();
    let full = hosts.len() == LISTED_MAX && rules.len() > LISTED_MAX;
    match hosts.join(",") {
        none if none.is_empty() => "*".into(),
        shown if full => format!("{shown} + {} more...", rules.len() - LISTED_MAX).into(),
        shown => shown.into(),
    }
}

pub(super) fn ingress_address(ingress: &Value, _: i64) -> Value {
    balancer_addresses(ingress).into()
}

pub(super) fn ingress_ports(ingress: &Value, _: i64) -> Value {
    if list(ingress, "spec.tls").is_empty() {
        "80".into()
    } else {
        "80, 443".into()
    }
}

pub(super) fn ingress_class_name(class: &Value, _: i64) -> Value {
    name_or_default(class, DEFAULT_INGRESS_CLASS)
}

pub(super) fn ingress_class_parameters(class: &Value, _: i64) -> Value {
    let Some(parameters) = at(class, "spec.parameters") else {
        return NONE.into();
    };
    let kind = text(parameters, "kind");
    let group = match at(parameters, "apiGroup").and_then(Value::as_str) {
        Some(group) => format!(".{group}"),
        None => String::new(),
    };
    format!("{kind}{group}/{}", text(parameters, "name")).into()
}

pub(super) fn parent(address: &Value, _: i64) -> Value {
    let Some(parent) = at(address, "spec.parentRef") else {
        return NONE.into();
    };
    let mut shown = text(parent, "resource").to_lowercase();
    for (separator, field) in [('.', "group"), ('/', "namespace")] {
        if !text(parent, field).is_empty() {
            shown.push(separator);
            shown.push_str(&text(parent, field).to_lowercase());
        }
    }
    format!("{shown}/{}", text(parent, "name")).into()
}
