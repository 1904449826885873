//! Subresources: other views of an object, and actions.

mod budget;
mod eviction;
mod pods;
mod reviews;
mod scale;
mod streams;
mod tokens;

use http::StatusCode;
use mainstay_kinds::Part;
use mainstay_machinery::status::StatusError;
use mainstay_schema::Verb;

use super::dispatch::{Registry, Request};
use super::route::PROXY;
use super::write::of_resource;
use crate::answer::{self, Answer};
use crate::upload::Upload;

/// Answers a request for a subresource.
pub(super) async fn answer(registry: &Registry, request: &Request<'_>, body: Upload) -> Answer {
    let name = request.target.subresource.as_str();
    let Some(sub) = request.resource.subresource(name) else {
        return Err(StatusError::unknown_path());
    };
    if name == PROXY {
        return streams::proxy(registry, request, body).await;
    }
    let verb = request.call.info.verb;
    let found = Verb::ALL.into_iter().find(|known| known.name() == verb);
    let Some(verb) = found.filter(|verb| sub.verbs.contains(*verb)) else {
        return Err(StatusError::method_not_allowed());
    };
    match name {
        "scale" => scale::answer(registry, request, verb, body).await,
        "binding" => pods::bind(registry, request, body).await,
        "eviction" => eviction::evict(registry, request, body).await,
        "token" => tokens::create(registry, request, body).await,
        _ => match Part::parse(name) {
            Some(part) => match verb {
                Verb::Get => registry.get(request).await,
                Verb::Update => registry.put(request, body, part).await,
                Verb::Patch => registry.patch(request, body, part).await,
                _ => Err(StatusError::method_not_allowed()),
            },
            None => streams::answer(registry, request).await,
        },
    }
}

/// Answers for resources that nothing is stored of: reviews, bindings, component statuses.
pub(super) async fn virtual_resource(
    registry: &Registry,
    request: &Request<'_>,
    verb: Verb,
    body: Upload,
) -> Answer {
    match (request.resource.plural, verb) {
        ("bindings", Verb::Create) => pods::bind(registry, request, body).await,
        ("componentstatuses", Verb::List) => {
            let list = registry.components.list().await;
            registry.answer_values(request, list, None)
        }
        ("componentstatuses", Verb::Get) => {
            let name = &request.target.name;
            let all = registry.components.list().await;
            let found = all
                .into_iter()
                .find(|one| one["metadata"]["name"] == **name);
            let object =
                found.ok_or_else(|| StatusError::not_found(of_resource(request.resource), name))?;
            registry.answer_object(request, StatusCode::OK, object)
        }
        (_, Verb::Create) => {
            let object = reviews::answer(registry, request, body).await?;
            answer::object(StatusCode::CREATED, &object, request.accepted)
        }
        _ => Err(StatusError::method_not_supported(
            of_resource(request.resource),
            verb.name(),
        )),
    }
}
