//! PKCS#10: what a certificate is asked for.

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::limits::CSR_BYTES_MAX;

/// A request whose signature shows that the key in it is the asker's. Subject and key are kept as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// Name, DER.
    pub(super) subject: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub(super) key: Vec<u8>,
    pub(super) common_name: String,
    pub(super) organizations: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    /// 4 or 16 bytes each.
    pub(super) addresses: Vec<Vec<u8>>,
    pub(super) uris: Vec<String>,
}

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    #[error("it is not a certificate request")]
    Form,
    #[error("unable to verify certificate request signature")]
    Signature,
    #[error("its subject is not text")]
    Subject,
    #[error("a subjectAltName is not as it should be")]
    Name,
}

impl Request {
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, Unreadable> {
        if pem.len() > CSR_BYTES_MAX {
            return Err(Unreadable::Form);
        }
        let first = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem).next();
        let Some(Ok((SectionKind::Csr, der))) = first else {
            return Err(Unreadable::Pem);
        };
        let (rest, parsed) =
            X509CertificationRequest::from_der(&der).map_err(|_| Unreadable::Form)?;
        if !rest.is_empty() {
            return Err(Unreadable::Form);
        }
        parsed
            .verify_signature()
            .map_err(|_| Unreadable::Signature)?;
        let info = &parsed.certification_request_info;
        let mut request = Self {
            subject: info.subject.as_raw().to_vec(),
            key: info.subject_pki.raw.to_vec(),
            common_name: common_name(&info.subject)?,
            organizations: info
                .subject
                .iter_organization()
                .map(text)
                .collect::<Result<_, _>>()?,
            ..Self::default()
        };
        for extension in parsed.requested_extensions().into_iter().flatten() {
            match extension {
                ParsedExtension::SubjectAlternativeName(names) => {
                    for name in &names.general_names {
                        request.add(name)?;
                    }
                }
                ParsedExtension::ParseError { .. } => return Err(Unreadable::Form),
                _ => {}
            }
        }
        Ok(request)
    }

    fn add(&mut self, name: &GeneralName<'_>) -> Result<(), Unreadable> {
        match name {
            GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) if matches!(bytes.len(), 4 | 16) => {
                self.addresses.push(bytes.to_vec());
            }
            GeneralName::IPAddress(_) | GeneralName::Invalid(..) => return Err(Unreadable::Name),
            // Not carried over, as in Go's certificates.
            _ => {}
        }
        Ok(())
    }
}

/// The last one counts, and there may be none.
fn common_name(subject: &X509Name<'_>) -> Result<String, Unreadable> {
    let last = subject.iter_common_name().last();
    last.map_or(Ok(String::new()), text)
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> Result<String, Unreadable> {
    let text = attribute.as_str().map_err(|_| Unreadable::Subject)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_for_whom_it_is() {
        let request = Request::from_pem(include_bytes!("testdata/client.pem")).expect("readable");
        assert_eq!(request.common_name, "jane");
        assert_eq!(request.organizations, ["team-a", "team-b"]);
        let request = Request::from_pem(include_bytes!("testdata/serving.pem")).expect("readable");
        assert_eq!(request.dns, ["n1"]);
        assert_eq!(request.addresses[0], [10, 0, 0, 1]);
        assert_eq!(request.addresses[1].len(), 16);
        assert!(Request::from_pem(include_bytes!("testdata/rsa.pem")).is_ok());
    }

    #[test]
    fn what_is_not_a_request_of_the_keys_owner_is_refused() {
        let pem = std::str::from_utf8(include_bytes!("testdata/node.pem")).expect("text");
        assert_eq!(Request::from_pem(b"nothing"), Err(Unreadable::Pem));
        let other = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
        assert_eq!(Request::from_pem(other.as_bytes()), Err(Unreadable::Pem));
        // Any bit that is turned breaks the form or the signature.
        let (_, mut der) = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
            .next()
            .expect("one")
            .expect("readable");
        let last = der.len() - 1;
        der[last] ^= 1;
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let broken = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
        );
        assert_eq!(
            Request::from_pem(broken.as_bytes()),
            Err(Unreadable::Signature)
        );
    }
}
