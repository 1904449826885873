//! Questions about identity and permission: answered, never stored.

use mainstay_auth::authn::{self_subject_review, token_review};
use mainstay_auth::{ReviewKind, access_review, review_errors, reviewed_user, rules_review};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::meta;
use mainstay_machinery::status::{GroupKind, StatusError};
use serde_json::Value;

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, not_implemented, read};
use crate::identity::seconds;
use crate::upload::Upload;

pub(super) async fn answer(
    registry: &Registry,
    request: &Request<'_>,
    body: Upload,
) -> Result<Value, StatusError> {
    let options = request.write_options()?;
    let body = read(body).await?;
    let (resource, media) = (request.resource, Media::of(request.content_type())?);
    let (asked, _) = codec::decode_body(
        &body,
        media,
        resource.gvk(),
        resource.ty,
        options.field_validation,
    )?;
    let kind = match resource.kind {
        "SubjectAccessReview" => Some(ReviewKind::Subject),
        "SelfSubjectAccessReview" => Some(ReviewKind::SelfSubject),
        "LocalSubjectAccessReview" => Some(ReviewKind::Local),
        _ => None,
    };
    if let Some(kind) = kind {
        check(request, &asked, kind)?;
    }
    let user = request.call.user;
    let authorizer = &*registry.authorizer;
    match resource.kind {
        "TokenReview" => {
            let identity = &registry.identity;
            let authenticate =
                |token: &str, audiences: &[String]| identity.review(token, audiences);
            token_review(&asked, identity.audiences(), authenticate)
                .map_err(StatusError::bad_request)
        }
        "SelfSubjectReview" => Ok(self_subject_review(&asked, user, seconds())),
        "SelfSubjectAccessReview" => Ok(access_review(&asked, user, authorizer)),
        "SubjectAccessReview" => Ok(access_review(&asked, &reviewed_user(&asked), authorizer)),
        "LocalSubjectAccessReview" => Ok(access_review(&asked, &reviewed_user(&asked), authorizer)),
        "SelfSubjectRulesReview" => {
            rules_review(&asked, user, authorizer).map_err(StatusError::bad_request)
        }
        other => Err(not_implemented(other)),
    }
}

/// Refuses a review that asks for nothing, or for two things.
fn check(request: &Request<'_>, asked: &Value, kind: ReviewKind) -> Result<(), StatusError> {
    let mut asked = asked.clone();
    if kind == ReviewKind::Local && meta::namespace(&asked).is_empty() {
        meta::set_namespace(&mut asked, &request.target.namespace);
    }
    let mut errors = ErrorList::default();
    for error in review_errors(&asked, kind) {
        let path = Path::new(error.field);
        errors.push(match error.required {
            true => Error::required(&path, error.detail),
            false => Error::invalid(&path, error.value, error.detail),
        });
    }
    match errors.is_empty() {
        true => Ok(()),
        false => {
            // Upstream takes the kind from the body, which has lost it by then.
            let kind = GroupKind::new(request.resource.group, "");
            Err(StatusError::invalid(kind, "", &errors))
        }
    }
}
