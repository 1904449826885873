//! Certificate signing requests and trust bundles: who may approve, sign and vouch, and for which subjects.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::request::{Admission, Operation, Refusal, forbid, text};
use crate::attributes::Attributes;
use crate::authorizer::Authorizer;
use crate::rbac::only_collector_fields_differ;
use crate::text::quoted;
use crate::user::{MASTERS_GROUP, UserInfo};

const GROUP: &str = "certificates.k8s.io";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// May the user `approve`, `sign` or `attest` for this signer? Either by its name or for all of its domain
/// (`example.com/*`).
pub fn may_use_signer(
    authorizer: &dyn Authorizer,
    user: &UserInfo,
    verb: &str,
    signer: &str,
) -> bool {
    let ask = |name: &str| {
        authorizer
            .authorize(&Attributes::resource(user, verb, GROUP, "signers").object("", name))
            .allowed()
    };
    let domain = signer.split('/').next().unwrap_or_default();
    ask(signer) || ask(&format!("{domain}/*"))
}

fn is_csr(admission: &Admission<'_>, operation: Operation, subresource: &str) -> bool {
    admission.group == GROUP
        && admission.resource == "certificatesigningrequests"
        && admission.subresource == subresource
        && admission.operation == operation
}

/// Approving needs the verb `approve` on the signer.
///
/// # Errors
/// The refusal.
pub fn check_approval(
    admission: &Admission<'_>,
    authorizer: &dyn Authorizer,
) -> Result<(), Refusal> {
    if !is_csr(admission, Operation::Update, "approval") {
        return Ok(());
    }
    // The stored object counts: the one sent might name another signer.
    let signer = text(admission.old, "/spec/signerName");
    if may_use_signer(authorizer, admission.user, "approve", signer) {
        return Ok(());
    }
    forbid(format!(
        "user not permitted to approve requests with signerName {}",
        quoted(signer)
    ))
}

/// Changing the certificate or the conditions needs the verb `sign` on the signer.
///
/// # Errors
/// The refusal.
pub fn check_signing(
    admission: &Admission<'_>,
    authorizer: &dyn Authorizer,
) -> Result<(), Refusal> {
    if !is_csr(admission, Operation::Update, "status") {
        return Ok(());
    }
    let status = |object: &Value, key: &str| -> Value {
        let value = object
            .get("status")
            .and_then(|status| status.get(key))
            .cloned()
            .unwrap_or_default();
        let empty = value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
        if empty { Value::Null } else { value }
    };
    let same = |key| status(admission.old, key) == status(admission.object, key);
    let signer = text(admission.old, "/spec/signerName");
    if (same("certificate") && same("conditions"))
        || may_use_signer(authorizer, admission.user, "sign", signer)
    {
        return Ok(());
    }
    forbid(format!(
        "user not permitted to sign requests with signerName {}",
        quoted(signer)
    ))
}

/// Nobody may ask for a client certificate in the group `system:masters`.
///
/// # Errors
/// The refusal.
pub fn check_subject(admission: &Admission<'_>) -> Result<(), Refusal> {
    let signer = text(admission.object, "/spec/signerName");
    if !is_csr(admission, Operation::Create, "") || signer != CLIENT_SIGNER {
        return Ok(());
    }
    match parse_csr(text(admission.object, "/spec/request")) {
        Err(error) => forbid(format!("failed to parse CSR: {error}")),
        Ok(subject) if subject.in_group(MASTERS_GROUP) => forbid(format!(
            "use of {CLIENT_SIGNER} signer with system:masters group is not allowed"
        )),
        Ok(_) => Ok(()),
    }
}

/// Vouching for a signer's trust bundle needs the verb `attest` on the signer.
///
/// # Errors
/// The refusal.
pub fn check_attest(admission: &Admission<'_>, authorizer: &dyn Authorizer) -> Result<(), Refusal> {
    let about = admission.group == GROUP && admission.resource == "clustertrustbundles";
    let writes = matches!(admission.operation, Operation::Create | Operation::Update);
    if !about || !writes {
        return Ok(());
    }
    let signer = text(admission.object, "/spec/signerName");
    let collected = admission.operation == Operation::Update
        && only_collector_fields_differ(admission.object, admission.old);
    if signer.is_empty() || collected {
        return Ok(());
    }
    if may_use_signer(authorizer, admission.user, "attest", signer) {
        return Ok(());
    }
    forbid(format!(
        "user not permitted to attest for signerName {}",
        quoted(signer)
    ))
}

/// The subject of a certificate request as it stands in a CSR object (base64 of PEM), as the user and groups it
/// asks to be.
///
/// # Errors
/// A text for people if it is not a certificate request.
pub fn parse_csr(request: &str) -> Result<UserInfo, String> {
    let pem = STANDARD
        .decode(request)
        .map_err(|_| "the request is not base64".to_owned())?;
    let der = <(SectionKind, Vec<u8>)>::pem_slice_iter(&pem)
        .find_map(|section| section.ok().filter(|(kind, _)| *kind == SectionKind::Csr))
        .map(|(_, der)| der)
        .ok_or("PEM block type must be CERTIFICATE REQUEST")?;
    let (_, csr) = X509CertificationRequest::from_der(&der)
        .map_err(|_| "the certificate request cannot be parsed".to_owned())?;
    let subject = &csr.certification_request_info.subject;
    let username = subject
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .last();
    let groups = subject
        .iter_organization()
        .map(|name| name.as_str().map(str::to_owned));
    // An organization in an encoding that cannot be read might be any group.
    let groups: Result<Vec<String>, _> = groups.collect();
    Ok(UserInfo {
        username: username.unwrap_or_default().to_owned(),
        groups: groups.map_err(|_| "the organization cannot be read".to_owned())?,
        ..UserInfo::default()
    })
}
