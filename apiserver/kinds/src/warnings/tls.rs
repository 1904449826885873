//! Whether the two halves of a TLS secret can be a pair, as far as their frames tell. Texts are those of Go's library.

use crate::value::entry_text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

pub(super) fn pair(secret: &Value, found: &mut Vec<String>) {
    let bytes = |key| {
        let bytes = STANDARD.decode(entry_text(secret, "data", key));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    let (certificate, key) = (bytes("tls.crt"), bytes("tls.key"));
    found.extend(certificate_problem(&labels(&certificate)).or_else(|| key_problem(&labels(&key))));
}

fn certificate_problem(labels: &[String]) -> Option<String> {
    match labels {
        [] => Some("tls: failed to find any PEM data in certificate input".to_owned()),
        labels if labels.iter().any(|label| label == "CERTIFICATE") => None,
        [one] if one.ends_with("PRIVATE KEY") => Some("tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched".to_owned()),
        labels => Some(format!(
            "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [{}]",
            labels.join(" ")
        )),
    }
}

fn key_problem(labels: &[String]) -> Option<String> {
    let is_key = |label: &String| label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY");
    match labels {
        [] => Some("tls: failed to find any PEM data in key input".to_owned()),
        labels if labels.iter().any(is_key) => None,
        [one] if one == "CERTIFICATE" => Some(
            "tls: found a certificate rather than a key in the PEM for the private key".to_owned(),
        ),
        labels => Some(format!(
            "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: [{}]",
            labels.join(" ")
        )),
    }
}

/// What the frames of a text say that is in them.
fn labels(pem: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut open: Option<&str> = None;
    for line in pem.lines().map(str::trim_end) {
        let label = |start: &str| line.strip_prefix(start)?.strip_suffix(DASHES);
        if let Some(begun) = label(BEGIN) {
            open = Some(begun);
        } else if let Some(ended) = label(END)
            && open.take() == Some(ended)
        {
            labels.push(ended.to_owned());
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn halves_of_a_secret_that_are_no_pair_were_not_told() {
        let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        let cases = [
            (pem("CERTIFICATE"), pem("EC PRIVATE KEY"), ""),
            (
                "x".to_owned(),
                "y".to_owned(),
                "tls: failed to find any PEM data in certificate input",
            ),
            (
                pem("CERTIFICATE"),
                "y".to_owned(),
                "tls: failed to find any PEM data in key input",
            ),
            (
                pem("CERTIFICATE"),
                pem("CERTIFICATE"),
                "tls: found a certificate rather than a key in the PEM for the private key",
            ),
            (
                pem("PRIVATE KEY"),
                pem("PRIVATE KEY"),
                "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
            ),
            (
                pem("A") + &pem("B"),
                pem("PRIVATE KEY"),
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: [A B]",
            ),
        ];
        for (certificate, key, expected) in cases {
            let secret = json!({"data": {
                "tls.crt": STANDARD.encode(certificate), "tls.key": STANDARD.encode(key),
            }});
            let mut found = Vec::new();
            pair(&secret, &mut found);
            assert_eq!(found.join("|"), expected);
        }
    }
}
