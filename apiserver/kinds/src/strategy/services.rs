//! Services: addresses and ports the server gave are kept by clients that do not mention them.

use super::{Context, Part};
use crate::value::{at, at_mut, carry, int, list, same, set, take, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn create(service: &mut Value, _: &Context<'_>) {
    let address = text(service, "spec.clusterIP").to_owned();
    if !address.is_empty() && list(service, "spec.clusterIPs").is_empty() {
        set(service, "spec.clusterIPs", json!([address]));
    }
}

pub(super) fn update(new: &mut Value, old: &Value, part: Part, _: &Context<'_>) {
    if part == Part::Main {
        keep_allocated(new, old);
        pair_addresses(new, old);
        drop_inapplicable(new, old);
    }
}

fn needs_cluster_ip(service: &Value) -> bool {
    text(service, "spec.type") != "ExternalName"
}

fn is_balanced(service: &Value) -> bool {
    text(service, "spec.type") == "LoadBalancer"
}

fn may_have_node_ports(service: &Value) -> bool {
    is_balanced(service) || text(service, "spec.type") == "NodePort"
}

fn gets_node_ports(service: &Value) -> bool {
    let asked = at(service, "spec.allocateLoadBalancerNodePorts").and_then(Value::as_bool);
    may_have_node_ports(service) && (!is_balanced(service) || asked != Some(false))
}

fn needs_health_check_port(service: &Value) -> bool {
    is_balanced(service) && text(service, "spec.externalTrafficPolicy") == "Local"
}

fn is_external(service: &Value) -> bool {
    may_have_node_ports(service)
        || (text(service, "spec.type") == "ClusterIP"
            && !list(service, "spec.externalIPs").is_empty())
}

fn node_ports(service: &Value) -> BTreeSet<i64> {
    let ports = list(service, "spec.ports")
        .iter()
        .map(|port| int(port, "nodePort"));
    ports.filter(|port| *port != 0).collect()
}

fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && needs_cluster_ip(new) {
        if text(new, "spec.clusterIP").is_empty() {
            carry(new, old, "spec.clusterIP");
        }
        if list(new, "spec.clusterIPs").is_empty() {
            carry(new, old, "spec.clusterIPs");
        }
    }
    if gets_node_ports(old) && gets_node_ports(new) {
        keep_node_ports(new, old);
    }
    if needs_health_check_port(old)
        && needs_health_check_port(new)
        && int(new, "spec.healthCheckNodePort") == 0
    {
        carry(new, old, "spec.healthCheckNodePort");
    }
}

/// A port that has no node port takes the one it had under the same name, unless another took it.
fn keep_node_ports(new: &mut Value, old: &Value) {
    let taken = node_ports(new);
    let Some(Value::Array(ports)) = at_mut(new, "spec.ports") else {
        return;
    };
    for port in ports.iter_mut().filter(|port| int(port, "nodePort") == 0) {
        let same_name = |known: &&Value| text(known, "name") == text(port, "name");
        let before = list(old, "spec.ports")
            .iter()
            .rfind(same_name)
            .map(|p| int(p, "nodePort"));
        if let Some(before) = before.filter(|before| *before != 0 && !taken.contains(before)) {
            set(port, "nodePort", before);
        }
    }
}

/// Keeps `clusterIP` and `clusterIPs` in step for clients that know only the first.
fn pair_addresses(new: &mut Value, old: &Value) {
    let (before, after) = (
        text(old, "spec.clusterIP"),
        text(new, "spec.clusterIP").to_owned(),
    );
    let unchanged = same(at(new, "spec.clusterIPs"), at(old, "spec.clusterIPs"));
    if before != after && unchanged {
        if after.is_empty() {
            take(new, "spec.clusterIPs");
        } else {
            set(new, "spec.clusterIPs", json!([after]));
        }
    }
}

/// Drops fields the new type has no use for, if the client left them as they were.
fn drop_inapplicable(new: &mut Value, old: &Value) {
    let mut dropped: Vec<&str> = Vec::new();
    let unchanged = |place: &str| same(at(new, place), at(old, place));
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        if unchanged("spec.clusterIP") && unchanged("spec.clusterIPs") {
            dropped.extend(["spec.clusterIP", "spec.clusterIPs"]);
        }
        let of_addresses = [
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
            "spec.internalTrafficPolicy",
        ];
        dropped.extend(of_addresses.into_iter().filter(|place| unchanged(place)));
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        dropped.extend(Some("spec.healthCheckNodePort").filter(|place| unchanged(place)));
    }
    if is_balanced(old) && !is_balanced(new) {
        let balancing = [
            "spec.allocateLoadBalancerNodePorts",
            "spec.loadBalancerClass",
        ];
        dropped.extend(balancing.into_iter().filter(|place| unchanged(place)));
    }
    if is_external(old) && !is_external(new) {
        dropped.extend(Some("spec.externalTrafficPolicy").filter(|place| unchanged(place)));
    }
    let drop_node_ports = may_have_node_ports(old)
        && !may_have_node_ports(new)
        && node_ports(new).is_subset(&node_ports(old));
    for place in dropped {
        take(new, place);
    }
    if drop_node_ports && let Some(Value::Array(ports)) = at_mut(new, "spec.ports") {
        for port in ports {
            take(port, "nodePort");
        }
    }
    if !is_balanced(new) {
        set(new, "status.loadBalancer", json!({}));
    }
}
