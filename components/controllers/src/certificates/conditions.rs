//! What the status of a request says.

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition,
};

pub(super) fn conditions(
    request: &CertificateSigningRequest,
) -> &[CertificateSigningRequestCondition] {
    let status = request.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    conditions.unwrap_or_default()
}

pub(super) fn has(request: &CertificateSigningRequest, type_: &str) -> bool {
    conditions(request).iter().any(|one| one.type_ == type_)
}

/// Whether it failed: the other conditions count whatever their status is, as it can only be true.
pub(super) fn has_failed(request: &CertificateSigningRequest) -> bool {
    let mut conditions = conditions(request).iter();
    conditions.any(|one| one.type_ == "Failed" && matches!(one.status.as_str(), "" | "True"))
}

/// The certificate, if there is one; PEM.
pub(super) fn issued(request: &CertificateSigningRequest) -> Option<&[u8]> {
    let certificate = request.status.as_ref()?.certificate.as_ref()?;
    (!certificate.0.is_empty()).then_some(&certificate.0)
}

/// The request with one more condition.
pub(super) fn with(
    request: &CertificateSigningRequest,
    condition: CertificateSigningRequestCondition,
) -> CertificateSigningRequest {
    let mut request = request.clone();
    let status = request.status.get_or_insert_default();
    status.conditions.get_or_insert_default().push(condition);
    request
}
