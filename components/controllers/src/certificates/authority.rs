//! A certificate authority: writes and signs certificates (X.509 v3) from requests.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mainstay_auth::authn::{KeySet, SigningKey};
use mainstay_auth::der::{
    TAG_BIT_STRING, TAG_OCTET_STRING, TAG_OID, TAG_SEQUENCE, element, unsigned,
};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::request::Request;
use super::usages::Usages;

/// Clocks differ: a certificate is valid from a little before now.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// Shorter ones are not made even shorter by that.
const SHORT: Duration = Duration::from_secs(8 * 3_600);
/// Least time a request may ask for.
const LIFE_MIN: Duration = Duration::from_secs(10 * 60);

const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];

const TAG_BOOLEAN: u8 = 0x01;
const TAG_UTC_TIME: u8 = 0x17;
const TAG_GENERALIZED_TIME: u8 = 0x18;
/// `[n]` around another element, and `[n]` instead of its tag.
const TAG_EXPLICIT: u8 = 0xa0;
const TAG_IMPLICIT: u8 = 0x80;

/// A CA's certificate and its key.
#[derive(Debug)]
pub(super) struct Authority {
    /// Name, DER.
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
    not_after: Timestamp,
    key: SigningKey,
}

impl Authority {
    /// Reads both files; there must be one certificate, and it must be the key's. Blocks.
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| format!("error reading {}: {error}", path.display()))
        };
        let (cert_pem, key_pem) = (read(cert)?, read(key)?);
        Self::from_pem(&cert_pem, &key_pem)
            .map_err(|why| format!("error reading CA cert file {}: {why}", cert.display()))
    }

    fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, String> {
        let key = SigningKey::from_pem(key).map_err(|error| error.to_string())?;
        let certs = certificates(cert);
        let [der] = certs.as_slice() else {
            return Err(format!("expected 1 certificate, found {}", certs.len()));
        };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| "it is no certificate")?;
        let mut own = KeySet::new();
        own.add_pem(cert).map_err(|error| error.to_string())?;
        if own.keys().first() != Some(key.public()) {
            return Err("the key is not that of the certificate".to_owned());
        }
        let key_id =
            parsed
                .extensions()
                .iter()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                });
        let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp());
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            key_id,
            not_after: not_after.unwrap_or(Timestamp::MAX),
            key,
        })
    }

    /// A certificate (PEM) for a request; valid for `life`, but not longer than this authority.
    pub(super) fn sign(
        &self,
        request: &Request,
        usages: &[String],
        life: Duration,
        now: Timestamp,
    ) -> Result<String, String> {
        let usages = Usages::of(usages)?;
        let (from, until) = self.validity(life, now)?;
        let mut number: [u8; 16] = self.key.random().ok_or("no randomness")?;
        // Positive, and not zero.
        number[0] = number[0] & 0x7f | 0x40;
        let algorithm = self.key.algorithm_der();
        let extensions = self.extensions(request, &usages);
        let body = element(
            TAG_SEQUENCE,
            &[
                &element(TAG_EXPLICIT, &[&unsigned(&[2])]),
                &unsigned(&number),
                &algorithm,
                &self.subject,
                &element(TAG_SEQUENCE, &[&time(from), &time(until)]),
                &request.subject,
                &request.key,
                &element(TAG_EXPLICIT | 3, &[&element(TAG_SEQUENCE, &[&extensions])]),
            ],
        );
        let signature = self.key.sign_der(&body).ok_or("no randomness")?;
        let signature = element(TAG_BIT_STRING, &[&[0], &signature]);
        let certificate = element(TAG_SEQUENCE, &[&body, &algorithm, &signature]);
        Ok(pem(&certificate))
    }

    fn validity(&self, life: Duration, now: Timestamp) -> Result<(Timestamp, Timestamp), String> {
        let end = self.not_after;
        let from = now.saturating_sub(BACKDATE).unwrap_or(Timestamp::MIN);
        let rest = if life < SHORT { life } else { life - BACKDATE };
        let until = now.saturating_add(rest).unwrap_or(Timestamp::MAX).min(end);
        if from >= end {
            return Err(format!("the signer has expired: NotAfter={end}"));
        }
        if now >= end {
            return Err(format!(
                "refusing to sign a certificate that expired in the past: NotAfter={end}"
            ));
        }
        Ok((from, until))
    }

    fn extensions(&self, request: &Request, usages: &Usages) -> Vec<u8> {
        let mut extensions = Vec::new();
        if let Some(usage) = &usages.key {
            extensions.extend(extension(OID_KEY_USAGE, true, usage));
        }
        if let Some(usage) = &usages.extended {
            extensions.extend(extension(OID_EXTENDED_KEY_USAGE, false, usage));
        }
        // It is no authority.
        let end = element(TAG_SEQUENCE, &[]);
        extensions.extend(extension(OID_BASIC_CONSTRAINTS, true, &end));
        if let Some(id) = &self.key_id {
            let id = element(TAG_SEQUENCE, &[&element(TAG_IMPLICIT, &[id])]);
            extensions.extend(extension(OID_AUTHORITY_KEY_ID, false, &id));
        }
        let names = alternative_names(request);
        if !names.is_empty() {
            // Who has no other name has this one, and who reads it must understand it.
            let nameless = request.subject == element(TAG_SEQUENCE, &[]);
            let names = element(TAG_SEQUENCE, &[&names]);
            extensions.extend(extension(OID_SUBJECT_ALT_NAME, nameless, &names));
        }
        extensions
    }
}

/// How long a certificate is valid: what is asked for, but not longer than `most`, nor absurdly short.
pub(super) fn life(seconds: Option<i32>, most: Duration) -> Duration {
    let Some(seconds) = seconds else {
        return most;
    };
    let asked = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    if asked > most {
        most
    } else {
        asked.max(LIFE_MIN)
    }
}

/// All certificates of a PEM file, DER.
pub(super) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).map_while(Result::ok);
    sections
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| der)
        .collect()
}

fn alternative_names(request: &Request) -> Vec<u8> {
    let mut names = Vec::new();
    let mut add = |number: u8, bytes: &[u8]| names.extend(element(TAG_IMPLICIT | number, &[bytes]));
    request.dns.iter().for_each(|name| add(2, name.as_bytes()));
    request
        .emails
        .iter()
        .for_each(|name| add(1, name.as_bytes()));
    request.addresses.iter().for_each(|bytes| add(7, bytes));
    request.uris.iter().for_each(|name| add(6, name.as_bytes()));
    names
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = match critical {
        true => element(TAG_BOOLEAN, &[&[0xff]]),
        false => Vec::new(),
    };
    let (oid, value) = (
        element(TAG_OID, &[oid]),
        element(TAG_OCTET_STRING, &[value]),
    );
    element(TAG_SEQUENCE, &[&oid, &critical, &value])
}

/// Years before 2050 have two digits (RFC 5280, 4.1.2.5).
fn time(time: Timestamp) -> Vec<u8> {
    let end = jiff::civil::date(2050, 1, 1).to_zoned(jiff::tz::TimeZone::UTC);
    let two = end.is_ok_and(|end| time < end.timestamp());
    match two {
        true => element(
            TAG_UTC_TIME,
            &[time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()],
        ),
        false => {
            let text = time.strftime("%Y%m%d%H%M%SZ").to_string();
            element(TAG_GENERALIZED_TIME, &[text.as_bytes()])
        }
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64);
    let lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
    let body: Vec<&str> = lines.collect();
    let body = body.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384};

    const CLIENT: &[u8] = include_bytes!("testdata/client.pem");
    const SERVING: &[u8] = include_bytes!("testdata/serving.pem");
    const RSA: &[u8] = include_bytes!("testdata/rsa.pem");

    fn authority(key: KeyPair) -> (Authority, Vec<u8>) {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        let ca = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let (cert, key) = (ca.pem(), ca.key().serialize_pem());
        let authority = Authority::from_pem(cert.as_bytes(), key.as_bytes()).expect("usable");
        (authority, ca.der().to_vec())
    }

    fn now() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().expect("a time")
    }

    fn signed(authority: &Authority, pem: &[u8], usages: &[&str], life: Duration) -> Vec<u8> {
        let request = Request::from_pem(pem).expect("readable");
        let usages: Vec<String> = usages.iter().map(ToString::to_string).collect();
        let signed = authority.sign(&request, &usages, life, now());
        let pem = signed.expect("signed");
        certificates(pem.as_bytes()).pop().expect("one")
    }

    #[test]
    fn what_is_signed_is_what_was_asked_for_and_nothing_else() {
        let day = Duration::from_secs(86_400);
        for key in [
            KeyPair::generate(),
            KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        ] {
            let (authority, ca) = authority(key.expect("a key"));
            let (_, ca) = X509Certificate::from_der(&ca).expect("a certificate");
            for request in [CLIENT, SERVING, RSA] {
                let der = signed(&authority, request, &["client auth", "signing"], day);
                let (rest, cert) = X509Certificate::from_der(&der).expect("a certificate");
                assert!(rest.is_empty());
                cert.verify_signature(Some(ca.public_key()))
                    .expect("signed by the authority");
                assert_eq!(cert.issuer(), ca.subject());
                assert!(!cert.is_ca());
                let usage = cert
                    .extended_key_usage()
                    .expect("readable")
                    .expect("some")
                    .value;
                assert!(usage.client_auth && !usage.server_auth);
            }
            let der = signed(&authority, CLIENT, &["client auth"], day);
            let (_, cert) = X509Certificate::from_der(&der).expect("a certificate");
            assert_eq!(cert.subject().to_string(), "O=team-a, O=team-b, CN=jane");
            assert!(cert.subject_alternative_name().expect("readable").is_none());
            let der = signed(&authority, SERVING, &["server auth"], day);
            let (_, cert) = X509Certificate::from_der(&der).expect("a certificate");
            let names = cert
                .subject_alternative_name()
                .expect("readable")
                .expect("some")
                .value;
            assert_eq!(names.general_names.len(), 3);
        }
    }

    #[test]
    fn a_certificate_begins_before_now_and_ends_with_its_authority_at_the_latest() {
        let (authority, _) = authority(KeyPair::generate().expect("a key"));
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        for (life, from, until) in [
            (hours(1), "2025-12-31T23:55:00Z", "2026-01-01T01:00:00Z"),
            (hours(8), "2025-12-31T23:55:00Z", "2026-01-01T07:55:00Z"),
            (
                hours(24 * 365 * 30),
                "2025-12-31T23:55:00Z",
                "2055-12-24T23:55:00Z",
            ),
            (
                hours(24 * 365 * 100),
                "2025-12-31T23:55:00Z",
                "2060-01-01T00:00:00Z",
            ),
        ] {
            let der = signed(&authority, CLIENT, &[], life);
            let (_, cert) = X509Certificate::from_der(&der).expect("a certificate");
            let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_second();
            assert_eq!(cert.validity().not_before.timestamp(), at(from), "{life:?}");
            assert_eq!(cert.validity().not_after.timestamp(), at(until), "{life:?}");
        }
        let request = Request::from_pem(CLIENT).expect("readable");
        for (now, why) in [
            (
                "2060-01-01T00:03:00Z",
                "refusing to sign a certificate that expired in the past",
            ),
            ("2060-01-01T00:06:00Z", "the signer has expired"),
        ] {
            let now = now.parse().expect("a time");
            let error = authority
                .sign(&request, &[], hours(1), now)
                .expect_err("too late");
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_request_may_ask_for_less_than_the_most_but_not_for_too_little() {
        let most = Duration::from_secs(3_600);
        for (asked, given) in [
            (None, 3_600),
            (Some(7_200), 3_600),
            (Some(1_800), 1_800),
            (Some(1), 600),
        ] {
            assert_eq!(life(asked, most), Duration::from_secs(given), "{asked:?}");
        }
    }

    #[test]
    fn a_key_of_another_certificate_signs_nothing() {
        let params = CertificateParams::default();
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
        let other = KeyPair::generate().expect("a key").serialize_pem();
        let pem = ca.expect("an authority").pem();
        let error = Authority::from_pem(pem.as_bytes(), other.as_bytes()).expect_err("refused");
        assert_eq!(error, "the key is not that of the certificate");
        let two = format!("{pem}{pem}");
        let error = Authority::from_pem(two.as_bytes(), other.as_bytes()).expect_err("refused");
        assert_eq!(error, "expected 1 certificate, found 2");
    }
}
