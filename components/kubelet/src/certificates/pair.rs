//! A certificate and its key.

use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate with its chain, and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    pub(super) chain: String,
    pub(super) key: String,
    /// When it begins and ends to be valid.
    pub begins: Timestamp,
    pub ends: Timestamp,
    /// Its common name.
    pub name: String,
    /// Its organizations.
    pub groups: Vec<String>,
    /// Names and addresses it is for, as texts.
    pub hosts: Vec<String>,
}

/// Without the key.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("name", &self.name)
            .field("begins", &self.begins)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// Why something is no certificate with its key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PairError(String);

impl PairError {
    pub(super) fn of(why: impl std::fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl Pair {
    /// Reads a chain, of which the first is the certificate itself, and a key; they may be in one text.
    ///
    /// # Errors
    /// If one is missing, or the key is another one's.
    pub fn read(chain: &str, key: &str) -> Result<Self, PairError> {
        let wrong = |why: &dyn std::fmt::Display| PairError::of(why);
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let certificates = certificates.map_err(|error| wrong(&error))?;
        let first = certificates
            .first()
            .ok_or_else(|| wrong(&"there is no certificate in it"))?;
        let (_, certificate) = X509Certificate::from_der(first).map_err(|error| wrong(&error))?;
        let key = key_of(key).ok_or_else(|| wrong(&"there is no key in it"))?;
        let pair = KeyPair::from_pem(&key).map_err(|error| wrong(&error))?;
        let own = certificate.public_key().subject_public_key.data.as_ref();
        if own != pair.public_key_raw() {
            return Err(wrong(&"the key is not that of the certificate"));
        }
        let moment = |time: i64| Timestamp::from_second(time).map_err(|error| wrong(&error));
        let validity = certificate.validity();
        let subject = certificate.subject();
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value.as_str().unwrap_or_default().to_owned()
        };
        Ok(Self {
            chain: only_certificates(chain),
            key,
            begins: moment(validity.not_before.timestamp())?,
            ends: moment(validity.not_after.timestamp())?,
            name: subject
                .iter_common_name()
                .next()
                .map(text)
                .unwrap_or_default(),
            groups: subject.iter_organization().map(text).collect(),
            hosts: hosts(&certificate),
        })
    }

    /// Both, in one text.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.chain, self.key)
    }

    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.begins <= now && now < self.ends
    }

    /// When to have a new one: at seven to nine tenths of its life, by chance (0 to 1), so that not all nodes that came
    /// together ask together.
    #[must_use]
    pub fn renewal(&self, chance: f64) -> Timestamp {
        let life = self.ends.duration_since(self.begins).as_secs_f64().max(0.0);
        let age = SignedDuration::try_from_secs_f64(life * (0.7 + 0.2 * chance.clamp(0.0, 1.0)));
        self.begins
            .saturating_add(age.unwrap_or_default())
            .unwrap_or(self.ends)
    }
}

/// The blocks of a text whose label ends so.
fn blocks(text: &str, label: &str) -> String {
    let mut kept = String::new();
    let mut within = false;
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") {
            within = line.trim_end().trim_end_matches('-').ends_with(label);
        }
        if within {
            kept.push_str(line.trim_end());
            kept.push('\n');
        }
        if line.starts_with("-----END ") {
            within = false;
        }
    }
    kept
}

fn only_certificates(text: &str) -> String {
    blocks(text, "CERTIFICATE")
}

fn key_of(text: &str) -> Option<String> {
    Some(blocks(text, "PRIVATE KEY")).filter(|key| !key.is_empty())
}

fn hosts(certificate: &X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let mut hosts: Vec<_> = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    hosts.sort();
    hosts
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4: Result<[u8; 4], _> = bytes.try_into();
    let v6: Result<[u8; 16], _> = bytes.try_into();
    let v4 = v4
        .ok()
        .map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    v4.or_else(|| {
        v6.ok()
            .map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType};

    /// Signed by itself, valid from the epoch for so many seconds.
    pub(in crate::certificates) fn made(name: &str, seconds: i64) -> (String, String) {
        let mut params = CertificateParams::new(vec!["node-1".to_owned(), "192.0.2.1".to_owned()])
            .expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:nodes");
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch;
        params.not_after =
            epoch + std::time::Duration::from_secs(u64::try_from(seconds).expect("some"));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_whole_or_not_at_all() {
        let (chain, key) = made("system:node:n", 1000);
        let pair = Pair::read(&chain, &key).expect("a pair");
        assert_eq!(pair.name, "system:node:n");
        assert_eq!(pair.groups, ["system:nodes"]);
        assert_eq!(pair.hosts, ["192.0.2.1", "node-1"]);
        let text = pair.text();
        let again = Pair::read(&text, &text).expect("both in one text");
        assert_eq!(again.text(), text);
        let (_, other) = made("x", 1000);
        for (chain, key, why) in [
            (&chain, &other, "the key is not that of the certificate"),
            (&chain, &chain, "there is no key in it"),
            (&key, &key, "there is no certificate in it"),
        ] {
            assert_eq!(
                Pair::read(chain, key).expect_err("refused").to_string(),
                why
            );
        }
        let cut = &text[..text.len() / 2];
        assert!(Pair::read(cut, cut).is_err());
        assert!(!format!("{pair:?}").contains("PRIVATE"));
    }

    #[test]
    fn it_is_renewed_at_seven_to_nine_tenths_of_its_life() {
        let (chain, key) = made("x", 1000);
        let pair = Pair::read(&chain, &key).expect("a pair");
        for (chance, second) in [(0.0, 700), (0.5, 800), (1.0, 900), (7.0, 900)] {
            assert_eq!(pair.renewal(chance).as_second(), second, "{chance}");
        }
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert!(pair.is_valid(at(999)) && !pair.is_valid(at(1000)) && !pair.is_valid(at(-1)));
    }
}
