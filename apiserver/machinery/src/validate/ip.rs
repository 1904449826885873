//! IP addresses and CIDRs as fields have them.

use crate::field::{Error, ErrorList, Path};
use crate::gofmt::quote;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const IP_RULE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR_RULE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Parses an address as Go's older parser did: octets may have leading zeros and are decimal all the same.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if value.contains(':') {
        return value.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let mut octets = [0u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
    }
    parts
        .next()
        .is_none()
        .then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

fn has_leading_zeros(value: &str) -> bool {
    !value.contains(':') && value.parse::<Ipv4Addr>().is_err()
}

fn is_mapped(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// The address as Go prints it: an IPv4-mapped one as IPv4.
pub fn canonical_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => v6.to_string(),
        },
        IpAddr::V4(v4) => v4.to_string(),
    }
}

/// An address in a field older than canonical forms: any notation, but no leading zeros, no IPv4-mapped IPv6.
pub fn ip_legacy(path: &Path, value: &str) -> ErrorList {
    let Some(ip) = parse_ip_sloppy(value) else {
        return Error::invalid(path, value, IP_RULE).into();
    };
    let mut errors = ErrorList::new();
    if has_leading_zeros(value) {
        errors.push(Error::invalid(path, value, "must not have leading 0s"));
    }
    if is_mapped(&ip) {
        errors.push(Error::invalid(
            path,
            value,
            "must not be an IPv4-mapped IPv6 address",
        ));
    }
    errors
}

/// An address in canonical form.
pub fn ip(path: &Path, value: &str) -> ErrorList {
    let errors = ip_legacy(path, value);
    if !errors.is_empty() {
        return errors;
    }
    let canonical = parse_ip_sloppy(value).map(canonical_ip).unwrap_or_default();
    if canonical == value {
        return errors;
    }
    let detail = format!("must be in canonical form ({})", quote(&canonical));
    Error::invalid(path, value, detail).into()
}

/// An address and the length of its prefix in bits.
pub fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = value.split_once('/')?;
    let ip = parse_ip_sloppy(address)?;
    let digits_only = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let bits: u8 = length.parse().ok().filter(|_| digits_only)?;
    let bits_max = if ip.is_ipv4() { 32 } else { 128 };
    (bits <= bits_max).then_some((ip, bits))
}

/// The network's first address.
pub fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

/// A network in a field older than canonical forms.
pub fn cidr_legacy(path: &Path, value: &str) -> ErrorList {
    let Some((ip, bits)) = parse_cidr_sloppy(value) else {
        return Error::invalid(path, value, CIDR_RULE).into();
    };
    let (address, length) = value.split_once('/').unwrap_or_default();
    let wrong = if has_leading_zeros(address) || (length.len() > 1 && length.starts_with('0')) {
        "must not have leading 0s in IP or prefix length"
    } else if is_mapped(&ip) {
        "must not have an IPv4-mapped IPv6 address"
    } else if masked(ip, bits) != ip {
        "must not have bits set beyond the prefix length"
    } else {
        return ErrorList::new();
    };
    Error::invalid(path, value, wrong).into()
}

/// A network in canonical form.
pub fn cidr(path: &Path, value: &str) -> ErrorList {
    let errors = cidr_legacy(path, value);
    if !errors.is_empty() {
        return errors;
    }
    let canonical = parse_cidr_sloppy(value)
        .map(|(ip, bits)| format!("{}/{bits}", canonical_ip(ip)))
        .unwrap_or_default();
    if canonical == value {
        return errors;
    }
    let detail = format!("must be in canonical form ({})", quote(&canonical));
    Error::invalid(path, value, detail).into()
}

/// An interface's address with its prefix length, such as `192.168.1.5/24`.
pub fn interface_address(path: &Path, value: &str) -> ErrorList {
    const RULE: &str = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
    let Some((ip, bits)) = parse_cidr_sloppy(value) else {
        return Error::invalid(path, value, RULE).into();
    };
    let bits = if is_mapped(&ip) {
        bits.saturating_sub(96)
    } else {
        bits
    };
    let canonical = format!("{}/{bits}", canonical_ip(ip));
    if canonical == value {
        return ErrorList::new();
    }
    let detail = format!("must be in canonical form ({})", quote(&canonical));
    Error::invalid(path, value, detail).into()
}
