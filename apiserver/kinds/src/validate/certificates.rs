//! Certificate signing requests.

use super::place::Place;
use crate::strategy::Part;
use crate::value::{list, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::validate::dns1123_subdomain;
use serde_json::Value;
use std::collections::BTreeSet;

const SIGNER_BYTES_MAX: usize = 571;
const EXPIRATION_SECONDS_MIN: i64 = 600;
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// The signer of requests from before signers had names.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";

pub(super) fn request(object: &Value, errors: &mut ErrorList) {
    let spec = Place::top(object, "spec");
    let request = spec.at("request");
    let bytes = STANDARD.decode(request.text()).unwrap_or_default();
    if !bytes
        .windows(30)
        .any(|part| part == b"-----BEGIN CERTIFICATE REQUEST")
    {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        request.invalid(detail, errors);
    }
    let usages = spec.at("usages");
    usages.must_be_set(errors);
    let mut seen = BTreeSet::new();
    for usage in usages.items() {
        usage.supported(USAGES, errors);
        if !seen.insert(usage.text()) {
            usage.duplicate(errors);
        }
    }
    signer_name(&spec.at("signerName"), errors);
    if spec.at("signerName").text() == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        spec.at("signerName").invalid(detail, errors);
    }
    let expiration = spec.at("expirationSeconds");
    if expiration
        .number()
        .is_some_and(|seconds| seconds < EXPIRATION_SECONDS_MIN)
    {
        expiration.invalid(
            "may not specify a duration less than 600 seconds (10 minutes)",
            errors,
        );
    }
    conditions(object, None, errors);
}

/// A domain and a path below it: `example.com/signer`.
fn signer_name(signer: &Place<'_>, errors: &mut ErrorList) {
    if signer.is_empty() {
        signer.required("", errors);
        return;
    }
    let Some((domain, path)) = signer
        .text()
        .split_once('/')
        .filter(|(_, path)| !path.contains('/'))
    else {
        signer.invalid(
            "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            errors,
        );
        return;
    };
    signer.messages(dns1123_subdomain(domain), errors);
    if !domain.contains('.') {
        signer.invalid(
            "should be a domain with at least two segments separated by dots",
            errors,
        );
    }
    if path.is_empty() {
        let detail = "validating path segment after '/': must not be empty";
        signer.invalid(detail, errors);
    } else {
        signer.messages(dns1123_subdomain(path), errors);
    }
    if signer.text().len() > SIGNER_BYTES_MAX {
        errors.push(Error::too_long(&signer.path, SIGNER_BYTES_MAX));
    }
}

/// Decisions are made once and are one or the other.
fn conditions(object: &Value, old: Option<&Value>, errors: &mut ErrorList) {
    let place = Place::top(object, "status").at("conditions");
    let mut seen = BTreeSet::new();
    for condition in place.items() {
        let (kind, status) = (condition.at("type"), condition.at("status"));
        kind.must_be_set(errors);
        let decides = matches!(kind.text(), "Approved" | "Denied" | "Failed");
        if decides && status.text() != "True" {
            status.supported(&["True"], errors);
        } else {
            status.one_of(&["False", "True", "Unknown"], errors);
        }
        let had = |old: &Value| {
            list(old, "status.conditions")
                .iter()
                .filter(|c| text(c, "type") == kind.text())
                .count()
        };
        if !seen.insert(kind.text()) && old.is_none_or(|old| had(old) < 2) {
            errors.push(Error::duplicate(&kind.path, kind.text()));
        }
    }
    if seen.contains("Approved") && seen.contains("Denied") {
        errors.push(Error::invalid(
            &place.path,
            "Denied",
            "Approved and Denied conditions are mutually exclusive",
        ));
    }
}

pub(super) fn update_request(new: &Value, old: &Value, part: Part, errors: &mut ErrorList) {
    conditions(new, Some(old), errors);
    let path = Path::new("status").child("conditions");
    let of_kind = |request: &Value, kind: &str| -> Vec<Value> {
        list(request, "status.conditions")
            .iter()
            .filter(|c| text(c, "type") == kind)
            .cloned()
            .collect()
    };
    for kind in ["Approved", "Denied", "Failed"] {
        let (after, before) = (of_kind(new, kind), of_kind(old, kind));
        let may_add = (part == Part::Approval && kind != "Failed")
            || (part == Part::Status && kind == "Failed");
        if after.len() < before.len() {
            let detail = format!("updates may not remove a condition of type \"{kind}\"");
            errors.push(Error::forbidden(&path, detail));
        } else if after.len() > before.len() && !may_add {
            let detail = format!("updates may not add a condition of type \"{kind}\"");
            errors.push(Error::forbidden(&path, detail));
        }
    }
    let certificate = |request: &Value| text(request, "status.certificate").to_owned();
    if certificate(new) != certificate(old) {
        let place = Place::top(new, "status").at("certificate");
        if part != Part::Status {
            place.forbidden("updates may not set certificate content", errors);
        } else if !certificate(old).is_empty() {
            place.forbidden(
                "updates may not modify existing certificate content",
                errors,
            );
        } else if let Err(why) = certificates(&certificate(new)) {
            errors.push(Error::invalid(&place.path, "<certificate data>", why));
        }
    }
}

/// Whether text in base64 holds certificates as PEM and nothing else. What they say is for those to judge who use
/// them.
fn certificates(text: &str) -> Result<(), String> {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let pem = String::from_utf8_lossy(&bytes);
    let mut lines = pem.lines();
    let mut found = 0;
    while let Some(line) = lines.next() {
        let begin = line.trim_end().strip_prefix("-----BEGIN ");
        let Some(label) = begin.and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        if label != "CERTIFICATE" {
            return Err(format!(
                "only CERTIFICATE PEM blocks are allowed, found {label:?}"
            ));
        }
        let body: Vec<&str> = lines
            .by_ref()
            .map(str::trim)
            .take_while(|line| !line.starts_with("-----END "))
            .collect();
        if body.iter().any(|line| line.contains(':')) {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if !is_sequence(&STANDARD.decode(body.concat()).unwrap_or_default()) {
            return Err("x509: malformed certificate".to_owned());
        }
        found += 1;
    }
    match found {
        0 => Err("must contain at least one CERTIFICATE PEM block".to_owned()),
        _ => Ok(()),
    }
}

/// Whether these bytes are one ASN.1 sequence, no more and no less: what every certificate is.
fn is_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else {
        return false;
    };
    if *first < 0x80 {
        return rest.len() == usize::from(*first);
    }
    let bytes = usize::from(*first & 0x7f);
    if !(1..=4).contains(&bytes) || rest.len() < bytes {
        return false;
    }
    let (length, content) = rest.split_at(bytes);
    let length = length
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    content.len() == length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_are_taken_for_certificates() {
        let pem = |label: &str, body: &str| {
            let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            STANDARD.encode(text)
        };
        let sequence = STANDARD.encode([0x30, 2, 5, 0]);
        let cases = [
            (pem("CERTIFICATE", &sequence), Ok(())),
            (
                pem("PRIVATE KEY", &sequence),
                Err("only CERTIFICATE PEM blocks are allowed, found \"PRIVATE KEY\""),
            ),
            (
                pem("CERTIFICATE", &format!("A: b\n\n{sequence}")),
                Err("no PEM block headers are permitted"),
            ),
            (
                pem("CERTIFICATE", "AAAA"),
                Err("x509: malformed certificate"),
            ),
            (
                "AAAA".to_owned(),
                Err("must contain at least one CERTIFICATE PEM block"),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(certificates(&text), expected.map_err(str::to_owned));
        }
    }

    #[test]
    fn lengths_of_sequences_are_looked_at() {
        let mut long = vec![0x30, 0x82, 1, 0];
        long.extend([0; 256]);
        assert!(is_sequence(&long));
        for wrong in [
            &long[..200],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0xff, 0],
            &[0x31, 0],
            &[],
        ] {
            assert!(!is_sequence(wrong), "{wrong:?}");
        }
    }
}
