//! Questions about identity and permission: answered, never stored.

use hyper::body::Incoming;
use mainstay_auth::authn::{self_subject_review, token_review};
use mainstay_auth::{access_review, reviewed_user, rules_review};
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use serde_json::Value;

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, not_implemented, read};
use crate::identity::seconds;

pub(super) async fn answer(
    registry: &Registry,
    request: &Request<'_>,
    body: Incoming,
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
        "LocalSubjectAccessReview" => {
            let inner = asked["spec"]["resourceAttributes"]["namespace"].as_str();
            if inner.unwrap_or_default() != request.target.namespace {
                return Err(StatusError::bad_request(format!(
                    "spec.resourceAttributes.namespace must match namespace: {}",
                    request.target.namespace
                )));
            }
            let own = meta::namespace(&asked);
            if !own.is_empty() && own != request.target.namespace {
                return Err(StatusError::bad_request(format!(
                    "namespace on request does not match the review's: {own}"
                )));
            }
            Ok(access_review(&asked, &reviewed_user(&asked), authorizer))
        }
        "SelfSubjectRulesReview" => {
            rules_review(&asked, user, authorizer).map_err(StatusError::bad_request)
        }
        other => Err(not_implemented(other)),
    }
}
