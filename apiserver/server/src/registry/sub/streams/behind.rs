//! Pods, by their own name or by that of a service.

use mainstay_machinery::gofmt::quote;
use mainstay_machinery::status::StatusError;
use serde_json::Value;

use super::super::super::dispatch::{Registry, Request};
use super::super::super::write::of_resource;
use crate::proxy::{Backend, Location, is_reachable, split};

fn at(scheme: &str, host: &str, port: String) -> Location {
    Location {
        secure: scheme == "https",
        host: host.to_owned(),
        port,
        ..Location::default()
    }
}

/// Where `pods/NAME/proxy` leads.
pub(super) async fn pod(
    registry: &Registry,
    request: &Request<'_>,
) -> Result<(Location, Backend), StatusError> {
    let id = &request.target.name;
    let (scheme, name, port) = split(id)
        .ok_or_else(|| StatusError::bad_request(format!("invalid pod request {}", quote(id))))?;
    let pod = super::pod(registry, request, name).await?;
    let (host, usual) = address(&pod);
    let host = host.ok_or_else(|| StatusError::bad_request("address not allowed"))?;
    let port = match port {
        "" => usual.map(|port| port.to_string()).unwrap_or_default(),
        port => port.to_owned(),
    };
    Ok((at(scheme, host, port), registry.pods.clone()))
}

/// A pod's address, if it may be reached from outside, and the first port that it says it has.
fn address(pod: &Value) -> (Option<&str>, Option<u64>) {
    let status = &pod["status"];
    let listed = status["podIPs"][0]["ip"].as_str();
    let host = listed.or(status["podIP"].as_str());
    let host = host.filter(|host| host.parse().is_ok_and(is_reachable));
    let containers = pod["spec"]["containers"].as_array();
    let mut ports = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container["ports"][0]["containerPort"].as_u64());
    (host, ports.next())
}

/// Where `services/NAME/proxy` leads: to one of the pods that stand behind it.
pub(super) async fn service(
    registry: &Registry,
    request: &Request<'_>,
) -> Result<(Location, Backend), StatusError> {
    let (id, namespace) = (&request.target.name, &request.target.namespace);
    let (scheme, name, port) = split(id).ok_or_else(|| {
        StatusError::bad_request(format!("invalid service request {}", quote(id)))
    })?;
    let missing = || StatusError::not_found(of_resource(request.resource), name);
    let port = match port.parse::<i64>() {
        Ok(number) => {
            let found = registry.find_newest(request.resource, namespace, name);
            let service = found.await?.ok_or_else(missing)?;
            port_name(&service, number).ok_or_else(|| {
                StatusError::service_unavailable(format!(
                    "no service port {number} found for service {}",
                    quote(name)
                ))
            })?
        }
        Err(_) => port.to_owned(),
    };
    let none = |name: &str| {
        let text = format!("no endpoints available for service {}", quote(name));
        StatusError::service_unavailable(text)
    };
    let endpoints = mainstay_schema::resource("", "v1", "endpoints")
        .ok_or_else(|| StatusError::internal("the table has no endpoints"))?;
    let found = registry.find_newest(endpoints, namespace, name).await?;
    // As upstream: it is the service that was asked for.
    let found = found.ok_or_else(missing)?;
    if found["subsets"].as_array().is_none_or(Vec::is_empty) {
        return Err(none(name));
    }
    let places = places(&found, &port, &mut rand::rng());
    for place in places {
        if is_pods_own(registry, namespace, &place).await? {
            let location = at(scheme, place.address, place.port.to_string());
            return Ok((location, registry.pods.clone()));
        }
    }
    Err(none(id))
}

/// The name of a service's port; empty if it has none.
fn port_name(service: &Value, number: i64) -> Option<String> {
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["port"].as_i64() == Some(number))?;
    Some(port["name"].as_str().unwrap_or_default().to_owned())
}

/// An address that stands behind a service.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place<'a> {
    address: &'a str,
    port: u64,
    target: &'a Value,
}

/// Ready addresses with a port of this name, each once, in the order to try them in: beginning anywhere.
fn places<'a>(endpoints: &'a Value, port: &str, random: &mut impl rand::Rng) -> Vec<Place<'a>> {
    let mut all = Vec::new();
    for subset in rotated(&endpoints["subsets"], random) {
        let mut ports = subset["ports"].as_array().into_iter().flatten();
        let own = ports.find(|own| own["name"].as_str().unwrap_or_default() == port);
        let Some(port) = own.and_then(|own| own["port"].as_u64()) else {
            continue;
        };
        let addresses = rotated(&subset["addresses"], random);
        all.extend(addresses.into_iter().filter_map(|one| {
            let address = one["ip"].as_str()?;
            let target = &one["targetRef"];
            Some(Place {
                address,
                port,
                target,
            })
        }));
    }
    all
}

fn rotated<'a>(list: &'a Value, random: &mut impl rand::Rng) -> Vec<&'a Value> {
    let mut all: Vec<&Value> = list.as_array().into_iter().flatten().collect();
    if !all.is_empty() {
        let first = random.random_range(0..all.len());
        all.rotate_left(first);
    }
    all
}

/// Whether an address is that of the pod it says it is of. Whoever may write endpoints must not thereby reach everything
/// that this server reaches.
async fn is_pods_own(
    registry: &Registry,
    namespace: &str,
    place: &Place<'_>,
) -> Result<bool, StatusError> {
    let text = |field: &str| place.target[field].as_str().unwrap_or_default();
    if place.target.is_null() || text("namespace") != namespace {
        return Ok(false);
    }
    let pods = mainstay_schema::resource("", "v1", "pods")
        .ok_or_else(|| StatusError::internal("the table has no pods"))?;
    let found = registry.find(pods, namespace, text("name")).await?;
    Ok(found.is_some_and(|pod| {
        let mut own = pod["status"]["podIPs"].as_array().into_iter().flatten();
        own.any(|own| own["ip"].as_str() == Some(place.address))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_addresses_of_pods_are_reached() {
        for (ip, expected) in [
            ("10.1.2.3", Some("10.1.2.3")),
            ("127.0.0.1", None),
            ("169.254.169.254", None),
            ("", None),
        ] {
            let pod = json!({"status": {"podIP": ip}, "spec": {"containers": [
                {"name": "a"},
                {"name": "b", "ports": [{"containerPort": 81}, {"containerPort": 82}]},
            ]}});
            assert_eq!(address(&pod), (expected, Some(81)), "{ip}");
        }
    }

    #[test]
    fn all_ready_addresses_of_a_port_are_tried_once() {
        let endpoints = json!({"subsets": [
            {"addresses": [{"ip": "1"}, {"ip": "2"}], "ports": [{"name": "web", "port": 80}]},
            {"addresses": [{"ip": "3"}], "ports": [{"name": "other", "port": 81}]},
            {"notReadyAddresses": [{"ip": "4"}], "ports": [{"name": "web", "port": 80}]},
            {"addresses": [{"ip": "5"}], "ports": [{"name": "web", "port": 8080}]},
        ]});
        let mut all: Vec<(&str, u64)> = places(&endpoints, "web", &mut rand::rng())
            .iter()
            .map(|place| (place.address, place.port))
            .collect();
        all.sort_unstable();
        assert_eq!(all, [("1", 80), ("2", 80), ("5", 8080)]);
        assert!(places(&endpoints, "", &mut rand::rng()).is_empty());
    }

    #[test]
    fn ports_are_known_by_number_and_name() {
        let service = json!({"spec": {"ports": [{"port": 80}, {"port": 81, "name": "b"}]}});
        assert_eq!(port_name(&service, 80).as_deref(), Some(""));
        assert_eq!(port_name(&service, 81).as_deref(), Some("b"));
        assert_eq!(port_name(&service, 82), None);
    }
}
