//! Parts of names.

use std::net::IpAddr;

use crate::wire::Name;

/// The labels of `name` that stand before `zone`, if it is in there, from the last one to the first.
pub(crate) fn below<'a>(name: &'a Name, zone: &Name) -> Option<Vec<&'a [u8]>> {
    let mut labels: Vec<&[u8]> = name.labels().collect();
    labels.reverse();
    let mut below = labels.iter();
    let of_zone: Vec<&[u8]> = zone.labels().collect();
    for of_zone in of_zone.iter().rev() {
        if !below.next()?.eq_ignore_ascii_case(of_zone) {
            return None;
        }
    }
    Some(below.copied().collect())
}

/// The key under which an object is found: lowercase, as all names of objects are.
pub(crate) fn key(namespace: &[u8], name: &[u8]) -> Option<String> {
    let mut key = String::with_capacity(namespace.len() + 1 + name.len());
    key.push_str(std::str::from_utf8(namespace).ok()?);
    key.push('/');
    key.push_str(std::str::from_utf8(name).ok()?);
    key.make_ascii_lowercase();
    Some(key)
}

/// A label in lowercase, if it can be one of ours.
pub(crate) fn lower(label: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(label).ok()?;
    Some(text.to_ascii_lowercase())
}

/// How an address is written as a label: `10-0-0-1`, `fd00--1`.
pub(crate) fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

/// The address that a pod's label stands for.
pub(crate) fn undashed(label: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(label).ok()?;
    if text.contains(['.', ':']) {
        return None;
    }
    let four = text.matches('-').count() == 3 && !text.contains("--");
    text.replace('-', if four { "." } else { ":" }).parse().ok()
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
pub(crate) fn reversed(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let (digits, zone) = labels.split_at_checked(labels.len().checked_sub(2)?)?;
    let is = |label: &str| zone[0].eq_ignore_ascii_case(label.as_bytes());
    if !zone[1].eq_ignore_ascii_case(b"arpa") {
        return None;
    }
    if is("in-addr") && digits.len() == 4 {
        let mut octets = [0; 4];
        for (octet, label) in octets.iter_mut().rev().zip(digits) {
            *octet = std::str::from_utf8(label).ok()?.parse().ok()?;
        }
        return Some(octets.into());
    }
    if is("ip6") && digits.len() == 32 {
        let mut octets = [0; 16];
        for (octet, pair) in octets.iter_mut().rev().zip(digits.chunks(2)) {
            *octet = nibble(pair[1])? << 4 | nibble(pair[0])?;
        }
        return Some(octets.into());
    }
    None
}

fn nibble(label: &[u8]) -> Option<u8> {
    let digit = match label {
        [digit] => char::from(*digit).to_digit(16)?,
        _ => return None,
    };
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_labels() {
        for (address, label) in [
            ("10.0.0.1", "10-0-0-1"),
            ("fd00::1", "fd00--1"),
            ("1:2:3:4:5:6:7:8", "1-2-3-4-5-6-7-8"),
        ] {
            let address: IpAddr = address.parse().expect("it is one");
            assert_eq!(dashed(address), label);
            assert_eq!(undashed(label.as_bytes()), Some(address));
        }
        for label in ["", "web-0", "10-0-0", "10-0-0-256", "10.0.0.1", "a-b-c-d"] {
            assert_eq!(undashed(label.as_bytes()), None, "{label}");
        }
    }

    #[test]
    fn names_below_a_zone_end_with_all_its_labels() {
        let zone = Name::from_text("cluster.local.").expect("it is a name");
        let below = |name: &str| {
            let name = Name::from_text(name).expect("it is a name");
            below(&name, &zone).map(|labels| labels.len())
        };
        assert_eq!(below("cluster.local."), Some(0));
        assert_eq!(below("a.b.CLUSTER.Local."), Some(2));
        assert_eq!(below("local."), None);
        assert_eq!(below("mycluster.local."), None);
        assert_eq!(below("cluster.local.org."), None);
    }
}
