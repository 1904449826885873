//! Authorities, and what they sign.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::GeneralName;

use crate::files;
use crate::limits::{AUTHORITY_DAYS, CERTIFICATE_DAYS, CERTIFICATE_DAYS_LEFT_MIN};

/// An authority in its files.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Whom a certificate is for, and what for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaf {
    pub(crate) name: String,
    pub(crate) groups: Vec<&'static str>,
    pub(crate) dns: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) server: bool,
    pub(crate) client: bool,
}

impl Authority {
    /// Made if it is missing: `NAME.crt` and `NAME.key` in `folder`.
    pub(crate) fn ensure(folder: &Path, name: &str, subject_name: &str) -> Result<Self> {
        let authority = Self {
            cert: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        // The certificate is written last: it is there only with its key.
        if authority.cert.exists() {
            return Ok(authority);
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(subject_name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        (params.not_before, params.not_after) = life(AUTHORITY_DAYS);
        let made = KeyPair::generate().and_then(|key| CertifiedIssuer::self_signed(params, key));
        let made = made.with_context(|| format!("making the authority {subject_name}"))?;
        let key = made.key().serialize_pem();
        files::write(&authority.key, key.as_bytes(), 0o600)?;
        files::write(&authority.cert, made.pem().as_bytes(), 0o644)?;
        Ok(authority)
    }

    pub(crate) fn pem(&self) -> Result<String> {
        files::read(&self.cert)
    }

    /// Signs a certificate for a new key: both as PEM.
    pub(crate) fn issue(&self, leaf: &Leaf) -> Result<(String, String)> {
        let mut params = CertificateParams::new(leaf.dns.clone())
            .with_context(|| format!("names of {}", leaf.name))?;
        params.distinguished_name = subject(&leaf.name, &leaf.groups);
        let addresses = leaf.addresses.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(addresses);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        let purposes = [
            (leaf.server, ExtendedKeyUsagePurpose::ServerAuth),
            (leaf.client, ExtendedKeyUsagePurpose::ClientAuth),
        ];
        params.extended_key_usages = purposes
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, purpose)| purpose)
            .collect();
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = life(CERTIFICATE_DAYS);
        let (ca, ca_key) = (self.pem()?, files::read(&self.key)?);
        let sign = || {
            let issuer = Issuer::from_ca_cert_pem(&ca, KeyPair::from_pem(&ca_key)?)?;
            let key = KeyPair::generate()?;
            let cert = params.signed_by(&key, &issuer)?;
            Ok::<_, rcgen::Error>((cert.pem(), key.serialize_pem()))
        };
        sign().with_context(|| format!("making a certificate for {}", leaf.name))
    }

    /// Keeps `PLACE.crt` and `PLACE.key`: makes them if they are missing, end soon or lack an address. Says whether it
    /// did.
    pub(crate) fn keep(&self, place: &Path, leaf: &Leaf) -> Result<bool> {
        let (cert, key) = (place.with_extension("crt"), place.with_extension("key"));
        if key.exists() && lasts(&cert, &leaf.addresses) {
            return Ok(false);
        }
        let (made, made_key) = self.issue(leaf)?;
        files::write(&key, made_key.as_bytes(), 0o600)?;
        files::write(&cert, made.as_bytes(), 0o644)?;
        Ok(true)
    }
}

/// Whether the first certificate in a file is there, is good for these addresses and does not end soon.
fn lasts(path: &Path, addresses: &[IpAddr]) -> bool {
    let Ok(pem) = fs::read(path) else {
        return false;
    };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(&pem) else {
        return false;
    };
    let Ok(certificate) = pem.parse_x509() else {
        return false;
    };
    let has = match certificate.subject_alternative_name() {
        Ok(Some(names)) => named(&names.value.general_names),
        _ => Vec::new(),
    };
    if !addresses.iter().all(|address| has.contains(address)) {
        return false;
    }
    let soon = OffsetDateTime::now_utc() + Duration::days(CERTIFICATE_DAYS_LEFT_MIN);
    certificate.validity().not_after.timestamp() > soon.unix_timestamp()
}

fn named(names: &[GeneralName<'_>]) -> Vec<IpAddr> {
    let addresses = names.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d])),
            bytes => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        },
        _ => None,
    });
    addresses.collect()
}

/// From an hour ago, for clocks that are behind.
fn life(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - Duration::hours(1), now + Duration::days(days))
}

fn subject(name: &str, groups: &[&str]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for group in groups {
        subject.push(DnType::OrganizationName, *group);
    }
    subject.push(DnType::CommonName, name);
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_signed_once_and_say_what_they_are_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::ensure(folder.path(), "ca", "kubernetes").expect("made");
        let again = Authority::ensure(folder.path(), "ca", "kubernetes").expect("there");
        assert_eq!(
            authority.pem().expect("there"),
            again.pem().expect("the same")
        );
        let leaf = Leaf {
            name: "system:node:worker-1".to_owned(),
            groups: vec!["system:nodes"],
            dns: vec!["worker-1".to_owned()],
            addresses: vec![IpAddr::from([10, 240, 0, 101])],
            server: true,
            client: false,
        };
        let place = folder.path().join("kubelet");
        assert!(authority.keep(&place, &leaf).expect("made"));
        assert!(!authority.keep(&place, &leaf).expect("kept"));
        let pem = fs::read(place.with_extension("crt")).expect("there");
        let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("PEM");
        let cert = pem.parse_x509().expect("a certificate");
        assert_eq!(
            cert.subject().to_string(),
            "O=system:nodes, CN=system:node:worker-1"
        );
        let usage = cert
            .extended_key_usage()
            .expect("readable")
            .expect("there")
            .value;
        assert!(usage.server_auth && !usage.client_auth);
        let names = cert
            .subject_alternative_name()
            .expect("readable")
            .expect("there");
        assert_eq!(names.value.general_names.len(), 2);
        let mut more = leaf.clone();
        more.addresses.push(IpAddr::from([192, 0, 2, 7]));
        assert!(authority.keep(&place, &more).expect("an address is new"));
        assert!(!authority.keep(&place, &leaf).expect("it has more"));
        fs::write(place.with_extension("crt"), "damaged").expect("written");
        assert!(authority.keep(&place, &leaf).expect("made anew"));
    }
}
