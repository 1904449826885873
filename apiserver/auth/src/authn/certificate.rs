//! Client certificates. TLS has verified the chain; here the subject becomes a user.

use x509_parser::asn1_rs::Oid;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::X509Name;

use crate::user::{CREDENTIAL_ID_KEY, UserInfo};

/// The attribute that holds a user's uid, assigned to Kubernetes.
const UID_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 57683, 2];

/// Why a verified certificate does not name a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is not an X.509 certificate.
    #[error("the client certificate cannot be parsed")]
    Malformed,
    /// It has an empty uid attribute.
    #[error("UID cannot be an empty string")]
    EmptyUid,
    /// It has several uid attributes.
    #[error("expected 1 UID, but found multiple: [{0}]")]
    ManyUids(String),
}

/// The user of a verified client certificate in DER: the common name, and the organizations as groups. `None`
/// if it has no common name.
///
/// # Errors
/// If it cannot be parsed or its uid attribute is not usable.
pub fn user_from_certificate(der: &[u8]) -> Result<Option<UserInfo>, CertificateError> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    if !rest.is_empty() {
        return Err(CertificateError::Malformed);
    }
    let subject = certificate.subject();
    // As in Go, the last common name counts.
    let Some(username) = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .last()
    else {
        return Ok(None);
    };
    if username.is_empty() {
        return Ok(None);
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, der);
    let hex: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let groups = subject
        .iter_organization()
        .filter_map(|name| name.as_str().ok());
    Ok(Some(UserInfo {
        username: username.to_owned(),
        uid: uid_of(subject)?,
        groups: groups.map(str::to_owned).collect(),
        extra: [(
            CREDENTIAL_ID_KEY.to_owned(),
            vec![format!("X509SHA256={hex}")],
        )]
        .into(),
    }))
}

fn uid_of(subject: &X509Name<'_>) -> Result<String, CertificateError> {
    let oid = Oid::from(UID_OID).map_err(|_| CertificateError::Malformed)?;
    let uids: Vec<&str> = subject
        .iter_by_oid(&oid)
        .map(|uid| uid.as_str().map_err(|_| CertificateError::Malformed))
        .collect::<Result<_, _>>()?;
    match uids[..] {
        [] => Ok(String::new()),
        [""] => Err(CertificateError::EmptyUid),
        [uid] => Ok(uid.to_owned()),
        _ => Err(CertificateError::ManyUids(uids.join(" "))),
    }
}
