//! Formats of names with domains in them.

use super::content::{dns1123_label, dns1123_subdomain, qualified_name, regex_error};
use crate::field::{Error, ErrorList, Path};

/// A domain of at least three segments (signer names' domains, CRD groups).
pub fn fully_qualified_name(path: &Path, name: &str) -> ErrorList {
    let rule = "should be a domain with at least three segments separated by dots";
    let mut errors = ErrorList::new();
    if name.is_empty() {
        errors.push(Error::required(path, ""));
        return errors;
    }
    let messages = dns1123_subdomain(name);
    if !messages.is_empty() {
        errors.push(Error::invalid(path, name, messages.join(",")));
    } else if name.split('.').count() < 3 {
        errors.push(Error::invalid(path, name, rule));
    }
    errors
}

/// A domain of at least two segments; a dot may end it.
pub fn fully_qualified_domain_name(path: &Path, name: &str) -> ErrorList {
    let rule = "should be a domain with at least two segments separated by dots";
    if name.is_empty() {
        return Error::required(path, "").into();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let messages = dns1123_subdomain(name);
    if !messages.is_empty() {
        return Error::invalid(path, name, messages.join(",")).into();
    }
    if name.split('.').count() < 2 {
        return Error::invalid(path, name, rule).into();
    }
    for label in name.split('.') {
        let messages = dns1123_label(label);
        if !messages.is_empty() {
            return Error::invalid(path, label, messages.join(",")).into();
        }
    }
    ErrorList::new()
}

/// A path with a domain before it, such as `acme.io/foo`.
pub fn domain_prefixed_path(path: &Path, value: &str) -> ErrorList {
    if value.is_empty() {
        return Error::required(path, "").into();
    }
    let rule = "must be a domain-prefixed path (such as \"acme.io/foo\")";
    let Some((host, rest)) = value
        .split_once('/')
        .filter(|(h, r)| !h.is_empty() && !r.is_empty())
    else {
        return Error::invalid(path, value, rule).into();
    };
    let mut errors: ErrorList = dns1123_subdomain(host)
        .into_iter()
        .map(|message| Error::invalid(path, host, message))
        .collect();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !rest.bytes().all(allowed) {
        let rule = regex_error("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]);
        errors.push(Error::invalid(path, rest, rule));
    }
    errors
}

/// A label key that must have a domain.
pub fn domain_prefixed_key(path: &Path, key: &str) -> ErrorList {
    if key.is_empty() {
        return Error::required(path, "").into();
    }
    let errors: ErrorList = qualified_name(key)
        .into_iter()
        .map(|message| Error::invalid(path, key, message))
        .collect();
    if errors.is_empty() && !key.contains('/') {
        let rule = "must be a domain-prefixed key (such as \"acme.io/foo\")";
        return Error::invalid(path, key, rule).into();
    }
    errors
}
