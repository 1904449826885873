//! Endpoints and endpoint slices.

use super::containers::PROTOCOLS;
use super::place::Place;
use crate::strategy::Part;
use mainstay_machinery::field::{Error, ErrorList};
use mainstay_machinery::validate::{name_is_dns_subdomain, parse_ip_sloppy};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;

const SLICE_ENDPOINTS_MAX: usize = 1000;
const SLICE_PORTS_MAX: usize = 20_000;
const ENDPOINT_ADDRESSES_MAX: usize = 100;
const ZONE_HINTS_MAX: usize = 8;

/// An address traffic can be sent to from another host.
pub(super) fn usable_address(address: &Place<'_>, errors: &mut ErrorList) {
    let Some(ip) = parse_ip_sloppy(address.text()) else {
        address.invalid("must be a valid IP address", errors);
        return;
    };
    if ip.is_unspecified() {
        address.invalid(
            format!("may not be unspecified ({})", address.text()),
            errors,
        );
    }
    if ip.is_loopback() {
        address.invalid(
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
            errors,
        );
    }
    let (link_local, multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (
            v6.segments()[0] & 0xffc0 == 0xfe80,
            v6.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    if link_local {
        address.invalid(
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
            errors,
        );
    }
    if multicast {
        let detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        address.invalid(detail, errors);
    }
}

pub(super) fn endpoints(object: &Value, errors: &mut ErrorList) {
    for subset in Place::top(object, "subsets").items() {
        let (ready, others) = (subset.at("addresses"), subset.at("notReadyAddresses"));
        if ready.len() + others.len() == 0 {
            subset.required("must specify `addresses` or `notReadyAddresses`", errors);
        }
        for address in ready.items().chain(others.items()) {
            address.at("ip").legacy_ip(errors);
            if !address.at("hostname").is_empty() {
                address.at("hostname").dns_label(errors);
            }
            if address.at("nodeName").is_set() {
                address.at("nodeName").named(name_is_dns_subdomain, errors);
            }
            usable_address(&address.at("ip"), errors);
        }
        let several = subset.at("ports").len() > 1;
        for port in subset.at("ports").items() {
            let name = port.at("name");
            if !name.is_empty() {
                name.dns_label(errors);
            } else if several {
                name.required("", errors);
            }
            port.at("port").port(errors);
            port.at("protocol").one_of(PROTOCOLS, errors);
            if port.at("appProtocol").is_set() {
                port.at("appProtocol").qualified_name(errors);
            }
        }
    }
}

pub(super) fn slice(object: &Value, errors: &mut ErrorList) {
    let kind = Place::top(object, "addressType");
    kind.one_of(&["FQDN", "IPv4", "IPv6"], errors);
    let endpoints = Place::top(object, "endpoints");
    if endpoints.len() > SLICE_ENDPOINTS_MAX {
        errors.push(Error::too_many(
            &endpoints.path,
            endpoints.len(),
            SLICE_ENDPOINTS_MAX,
        ));
        return;
    }
    slice_ports(&Place::top(object, "ports"), errors);
    for endpoint in endpoints.items() {
        slice_endpoint(&endpoint, kind.text(), errors);
    }
}

fn slice_endpoint(endpoint: &Place<'_>, kind: &str, errors: &mut ErrorList) {
    let addresses = endpoint.at("addresses");
    if addresses.is_empty() {
        addresses.required("must contain at least 1 address", errors);
    } else if addresses.len() > ENDPOINT_ADDRESSES_MAX {
        errors.push(Error::too_many(
            &addresses.path,
            addresses.len(),
            ENDPOINT_ADDRESSES_MAX,
        ));
    }
    for address in addresses.items() {
        match (kind, parse_ip_sloppy(address.text())) {
            ("IPv4" | "IPv6", None) => address.invalid(
                "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                errors,
            ),
            ("IPv4", Some(IpAddr::V6(_))) => address.invalid("must be an IPv4 address", errors),
            ("IPv6", Some(IpAddr::V4(_))) => address.invalid("must be an IPv6 address", errors),
            ("IPv4" | "IPv6", Some(_)) => usable_address(&address, errors),
            ("FQDN", _) => address.dns_subdomain(errors),
            _ => {}
        }
    }
    if endpoint.at("nodeName").is_set() {
        endpoint.at("nodeName").named(name_is_dns_subdomain, errors);
    }
    if endpoint.at("hostname").is_set() {
        endpoint.at("hostname").dns_label(errors);
    }
    let hints = endpoint.at("hints.forZones");
    if hints.len() > ZONE_HINTS_MAX {
        errors.push(Error::too_many(&hints.path, hints.len(), ZONE_HINTS_MAX));
    }
    let mut zones = BTreeSet::new();
    for zone in hints.items() {
        if !zones.insert(zone.at("name").text()) {
            zone.at("name").duplicate(errors);
        }
    }
}

fn slice_ports(ports: &Place<'_>, errors: &mut ErrorList) {
    if ports.len() > SLICE_PORTS_MAX {
        errors.push(Error::too_many(&ports.path, ports.len(), SLICE_PORTS_MAX));
        return;
    }
    let mut names = BTreeSet::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() {
            name.dns_label(errors);
        }
        if !names.insert(name.text()) {
            name.duplicate(errors);
        }
        // Upstream does not look at the numbers of ports here.
        port.at("protocol").one_of(PROTOCOLS, errors);
        if port.at("appProtocol").is_set() {
            port.at("appProtocol").qualified_name(errors);
        }
    }
}

pub(super) fn update_slice(new: &Value, old: &Value, _: Part, errors: &mut ErrorList) {
    Place::top(new, "addressType").immutable(&Place::top(old, "addressType"), errors);
}
