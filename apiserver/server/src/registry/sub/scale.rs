//! `scale`: how many replicas there are and should be, the same for every kind that has some.

use http::StatusCode;
use mainstay_kinds::{KindRef, Part, apply_scale, scale_of};
use mainstay_machinery::meta;
use mainstay_machinery::status::StatusError;
use mainstay_schema::Verb;
use serde_json::Value;

use super::super::codec::{self, Media};
use super::super::dispatch::{Registry, Request, read};
use super::super::write::{of_resource, with_revision};
use crate::answer::Answer;
use crate::upload::Upload;

const SCALE: KindRef<'static> = KindRef::new("autoscaling", "v1", "Scale");

pub(super) async fn answer(
    registry: &Registry,
    request: &Request<'_>,
    verb: Verb,
    body: Upload,
) -> Answer {
    let kind = KindRef::from(request.resource);
    let not_found = || StatusError::not_found(of_resource(request.resource), &request.target.name);
    if verb == Verb::Get {
        let key = registry.keys.object(
            request.resource,
            &request.target.namespace,
            &request.target.name,
        );
        let stored = registry.newest(&key).await?.ok_or_else(not_found)?;
        let object = registry.decode_stored(request.resource, &stored.value)?;
        let scale = scale_of(kind, &with_revision(object, stored.revision));
        return registry.answer_as(request, SCALE, StatusCode::OK, scale);
    }
    let options = request.write_options()?;
    let body = read(body).await?;
    let sub = request
        .resource
        .subresource("scale")
        .ok_or_else(not_found)?;
    let decoded = match verb {
        Verb::Update => {
            let media = Media::of(request.content_type())?;
            let decoded =
                codec::decode_body(&body, media, sub.gvk, sub.ty, options.field_validation)?;
            Some(decoded.0)
        }
        _ => None,
    };
    let patch = match verb {
        Verb::Patch => Some(codec::Patch::read(request.content_type(), &body)?),
        _ => None,
    };
    let change = |current: Option<&Value>| {
        let current = current.ok_or_else(not_found)?;
        let scale = scale_of(kind, current);
        let wanted = match (&decoded, &patch) {
            (Some(wanted), _) => wanted.clone(),
            (None, Some(patch)) => {
                let validation = options.field_validation;
                patch.apply(&scale, sub.gvk, sub.ty, validation)?.object
            }
            (None, None) => scale.clone(),
        };
        if meta::name(&wanted) != request.target.name {
            return Err(StatusError::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                meta::name(&wanted),
                request.target.name
            )));
        }
        let mut object = current.clone();
        let named = meta::resource_version(&wanted).to_owned();
        apply_scale(&mut object, &wanted).map_err(|errors| {
            let scale = mainstay_machinery::status::GroupKind::new("autoscaling", "Scale");
            StatusError::invalid(scale, &request.target.name, &errors)
        })?;
        // The revision that the scale names guards the object.
        match named.is_empty() {
            true => {
                super::super::write::take_revision(&mut object);
            }
            false => meta::set_text(&mut object, "resourceVersion", &named),
        }
        Ok(object)
    };
    let update = request.update(Part::Main, options.dry_run, true);
    let written = registry.update(&update, &change).await?;
    let scale = scale_of(kind, &written.object);
    registry.answer_as(request, SCALE, StatusCode::OK, scale)
}
