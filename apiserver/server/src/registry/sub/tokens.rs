//! `serviceaccounts/NAME/token`.

use std::sync::Arc;

use http::StatusCode;
use mainstay_auth::authn::{BoundKind, IssueError};
use mainstay_machinery::field::{Error, ErrorList, Path};
use mainstay_machinery::status::{GroupKind, GroupResource, StatusError};

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, read};
use super::super::write::of_resource;
use crate::answer::{self, Answer};
use crate::identity::seconds;
use crate::server::Warnings;
use crate::upload::Upload;

pub(super) async fn create(registry: &Registry, request: &Request<'_>, body: Upload) -> Answer {
    let options = request.write_options()?;
    let body = read(body).await?;
    let sub = request
        .resource
        .subresource("token")
        .ok_or_else(StatusError::unknown_path)?;
    let media = Media::of(request.content_type())?;
    let (asked, _) = codec::decode_body(&body, media, sub.gvk, sub.ty, options.field_validation)?;
    let (namespace, name) = (&request.target.namespace, &request.target.name);
    let account = registry.find(request.resource, namespace, name).await?;
    let account =
        account.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))?;
    let identity = &registry.identity;
    let lookup = |kind: BoundKind, namespace: &str, name: &str| {
        identity
            .object(kind, namespace, name)
            .map(Arc::unwrap_or_clone)
    };
    let issued = identity
        .issuer()
        .issue(&asked, &account, seconds(), &lookup)
        .map_err(refused)?;
    let mut response = answer::object(StatusCode::CREATED, &issued.response, request.accepted)?;
    response.extensions_mut().insert(Warnings(issued.warnings));
    Ok(response)
}

fn refused(e: IssueError) -> StatusError {
    match e {
        IssueError::BadRequest(text) => StatusError::bad_request(text),
        IssueError::NotFound { resource, name } => {
            StatusError::not_found(GroupResource::new("", resource), &name)
        }
        IssueError::Conflict {
            resource,
            name,
            detail,
        } => StatusError::conflict(GroupResource::new("", &resource), &name, detail),
        IssueError::Invalid {
            field,
            value,
            detail,
        } => {
            let mut errors = ErrorList::default();
            errors.push(Error::invalid(&Path::new(field), value, detail));
            let kind = GroupKind::new("authentication.k8s.io", "TokenRequest");
            StatusError::invalid(kind, "", &errors)
        }
        other @ IssueError::NoRandomness => StatusError::internal(other),
    }
}
