//! The older form: addresses grouped by what ports they have.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Pod, Service};

use super::desired::{Family, belongs, hostname, publishes_unready, target};
use super::ports::{Port, of_pod};
use super::slices::is_headless;
use crate::limits::ENDPOINTS_ADDRESSES_MAX;
use crate::pods::is_ready;

/// An address, whether it is ready, and all ports it has.
type Address = (bool, Vec<Port>, EndpointAddress);

/// The subsets of a service in their canonical order, and whether there were more addresses than fit.
pub(super) fn subsets(
    service: &Service,
    pods: &[std::sync::Arc<Pod>],
) -> (Vec<EndpointSubset>, bool) {
    let family = Family::of(service).first().copied().unwrap_or(Family::IPv4);
    let unready = publishes_unready(service);
    let mut addresses: BTreeMap<(String, Option<String>), Address> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| belongs(pod, unready)) {
        let Some(ip) = family.address(pod) else {
            continue;
        };
        let ports = of_pod(service, pod);
        let has_ports = service.spec.as_ref().is_some_and(|s| s.ports.is_some());
        if ports.is_empty() && (has_ports || !is_headless(service)) {
            continue;
        }
        let address = EndpointAddress {
            hostname: hostname(service, pod),
            ip: ip.clone(),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(target(pod)),
        };
        let ready = unready || is_ready(pod);
        addresses.insert((ip, pod.metadata.uid.clone()), (ready, ports, address));
    }
    let (addresses, truncated) = at_most(addresses.into_values().collect());
    (grouped(addresses), truncated)
}

/// Too many are cut off, those that are not ready first.
fn at_most(mut addresses: Vec<Address>) -> (Vec<Address>, bool) {
    let truncated = addresses.len() > ENDPOINTS_ADDRESSES_MAX;
    if truncated {
        addresses.sort_by_key(|(ready, ..)| !ready);
        addresses.truncate(ENDPOINTS_ADDRESSES_MAX);
    }
    (addresses, truncated)
}

fn grouped(addresses: Vec<Address>) -> Vec<EndpointSubset> {
    let mut groups: BTreeMap<Vec<Port>, (Vec<EndpointAddress>, Vec<EndpointAddress>)> =
        BTreeMap::new();
    for (ready, ports, address) in addresses {
        let (yes, no) = groups.entry(ports).or_default();
        if ready { yes } else { no }.push(address);
    }
    let groups = groups.into_iter();
    groups
        .map(|(ports, (mut ready, mut unready))| {
            for list in [&mut ready, &mut unready] {
                list.sort_by(|a, b| order(a).cmp(&order(b)));
            }
            let some = |list: Vec<EndpointAddress>| (!list.is_empty()).then_some(list);
            let ports: Vec<_> = ports.into_iter().map(port).collect();
            EndpointSubset {
                addresses: some(ready),
                not_ready_addresses: some(unready),
                ports: (!ports.is_empty()).then_some(ports),
            }
        })
        .collect()
}

fn order(address: &EndpointAddress) -> (&str, Option<&str>) {
    let uid = address.target_ref.as_ref().and_then(|r| r.uid.as_deref());
    (&address.ip, uid)
}

fn port(port: Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name).filter(|name| !name.is_empty()),
        protocol: Some(port.protocol),
        port: port.port,
        app_protocol: port.app_protocol,
    }
}
